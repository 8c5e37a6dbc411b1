"""The database of ML Metadata on a cluster."""

import os
import socket
import time

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from kubeflow.cluster import Database
from trainer.errors import ReportedError, UserError

PASSWORD = "MLMD_PASSWORD"  # environment variable, from the secret
POLL_SECONDS = 2.0
GREETING_SECONDS = 10.0


class DatabaseError(ReportedError):
    """The database does not answer."""


def connection(database: Database, root: str) -> mlmd.ConnectionConfig:
    """How ML Metadata reaches it; an SQLite file is in the folder `root`.

    Raises:
      UserError: there is no password in the environment.
    """
    if database.kind == "sqlite":
        path = os.path.join(root, "metadata.sqlite")
        return mlmd.ConnectionConfig(
            sqlite=mlmd.SqliteMetadataSourceConfig(
                filename_uri=path, connection_mode=mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
            )
        )
    if PASSWORD not in os.environ:
        raise UserError(f"expected the database's password in {PASSWORD}, from the secret {database.secret}; got none")
    return mlmd.ConnectionConfig(
        mysql=mlmd.MySQLDatabaseConfig(
            host=database.host,
            port=database.port,
            database=database.name,
            user=database.user,
            password=os.environ[PASSWORD],
        )
    )


def wait_for(database: Database, config: mlmd.ConnectionConfig) -> None:
    """Returns when the database answers and has ML Metadata's tables, which the first to come makes.

    Raises:
      DatabaseError: it did not answer in time, or it answered and refused.
    """
    end = time.monotonic() + database.wait_seconds
    while True:
        try:
            if database.kind != "sqlite":
                _greet(database)
            MetadataStore(config).get_context_types()
            return
        except Exception as error:
            if time.monotonic() > end:
                raise DatabaseError(
                    f"the {database.kind} database could not be opened within {database.wait_seconds} s: "
                    f"{_state(database)}. ML Metadata says: {' '.join(str(error).split())}"
                ) from error
        time.sleep(POLL_SECONDS)


def _state(database: Database) -> str:
    """What can be said of it; of MySQL's own words ML Metadata hands on none."""
    if database.kind == "sqlite":
        return "see whether its folder is there and can be written"
    where = f"{database.host}:{database.port}"
    try:
        _greet(database)
    except OSError as error:
        return f"{where} does not answer ({error}), see whether its pod runs and whether cluster.yaml names it right"
    return (
        f"{where} answers, but refuses the user {database.user} or the database {database.name}; see the password in "
        f"the secret {database.secret}, the user's rights, and that it is IDENTIFIED WITH mysql_native_password"
    )


def _greet(database: Database) -> None:
    """Waits for the server's first byte, with a bound: ML Metadata would wait for it for ever.

    Raises:
      OSError: there is none.
    """
    with socket.create_connection((database.host, database.port), timeout=GREETING_SECONDS) as peer:
        if not peer.recv(1):
            raise ConnectionError("it closes the connection")
