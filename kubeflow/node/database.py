"""The database of ML Metadata on a cluster."""

import os

from ml_metadata.proto import metadata_store_pb2 as mlmd

from kubeflow.spec.cluster import Database
from kubeflow.spec.contract import PASSWORD
from pipeline.state.database import sqlite_connection
from pipeline.state.metadata import Metadata
from trainer.errors import UserError


def lineage(database: Database, root: str) -> Metadata:
    """Returns ML Metadata with locations relative to `root`, which also holds an SQLite file.

    Raises:
      UserError: the environment has no password.
    """
    hint = (
        f"the password in the secret {database.secret}, the rights of the user {database.user}, and that it is "
        "IDENTIFIED WITH mysql_native_password"
    )
    return Metadata(_connection(database, root), root, database.wait_seconds, hint)


def _connection(database: Database, root: str) -> mlmd.ConnectionConfig:
    if database.kind == "sqlite":
        return sqlite_connection(os.path.join(root, "metadata.sqlite"))
    password = os.environ.get(PASSWORD)
    if password is None:
        what = f"the password of the database, from the secret {database.secret}"
        raise UserError(f"{PASSWORD} is not in the environment: {what}", value=PASSWORD)
    mysql = mlmd.MySQLDatabaseConfig(
        host=database.host, port=database.port, database=database.name, user=database.user, password=password
    )
    return mlmd.ConnectionConfig(mysql=mysql)
