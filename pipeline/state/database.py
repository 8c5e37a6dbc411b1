"""The database of ML Metadata: how it is reached, and the wait while it is away."""

import logging
import os
import re
import socket
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.state.sqlite import is_locked
from trainer.errors import ReportedError
from trainer.interrupt import interrupted

log = logging.getLogger(__name__)

AWAY_SECONDS = 900.0  # that a database may be away, unless the configuration says otherwise
REFUSED_SECONDS = 120.0  # that a server may answer and refuse: it may be starting, or have too many connections
POLL_SECONDS = 0.5
GREETING_SECONDS = 10.0  # until the first byte of a server; ML Metadata itself would wait for ever

# What ML Metadata raises when a connection is lost or refused, or the file locked. Which of them, only its text says.
FAILURES = (RuntimeError, errors.AbortedError, errors.InternalError, errors.UnavailableError)

SQL = r"(?s) query:\s+[A-Z]{5,}.*"  # in a message of ML Metadata

Result = TypeVar("Result")


class DatabaseError(ReportedError):
    """The database does not answer, refuses, or is locked."""


def sqlite_connection(path: str) -> mlmd.ConnectionConfig:
    """Connects to the SQLite file at `path`, which is made if it is not there."""
    mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return mlmd.ConnectionConfig(sqlite=mlmd.SqliteMetadataSourceConfig(filename_uri=path, connection_mode=mode))


class Database:
    """Whether the database is there, and how long it has not been.

    Args:
      connection: how it is reached.
      away_seconds: how long it may be away.
      hint: what to check where a server answers and refuses.
    """

    def __init__(self, connection: mlmd.ConnectionConfig, away_seconds: float = AWAY_SECONDS, hint: str = "") -> None:
        self._connection, self._hint = connection, hint
        self._away_seconds, self._refused_seconds = away_seconds, min(away_seconds, REFUSED_SECONDS)
        self._since: float | None = None
        self.failure: ReportedError | None = None

    def patiently(self, attempt: Callable[[], Result], connects: bool = False) -> Result:
        """What `attempt` returns, once the database lets it.

        A server is asked for its first byte before an attempt that `connects`, and after a failure.

        Raises:
          DatabaseError: the database was away for too long, and every later attempt is made once; or an SQLite file is
            damaged, or its disk is full.
          Exception: whatever `attempt` raised that waiting does not mend.
        """
        try:
            failed: Exception | None = None
            while True:
                away = self._look(connects or failed is not None)
                if away is None:
                    try:
                        result = attempt()
                        self._since = None
                        return result
                    except FAILURES as error:
                        failed = error
                        if self._is_lasting(error):
                            raise self.broken(re.sub(SQL, "", str(error))) from error
                        away = self._look(True)
                self._wait(away, failed)
        except ReportedError as error:
            self.failure = error
            raise

    def _is_lasting(self, error: Exception) -> bool:
        """An SQLite file that is there and not locked says what is wrong; waiting does not mend that."""
        return (
            self._connection.HasField("sqlite") and not isinstance(error, errors.AbortedError) and not self._look(True)
        )

    def broken(self, what: str) -> DatabaseError:
        """The error of a database that is there and says something wrong, which TFX may keep to itself."""
        self.failure = DatabaseError(
            f"{self._name} cannot be used: {' '.join(what.split())}. If its disk is full, free some space; if it is "
            "damaged, bring back a copy, or move it and the artifacts beside it away to start anew"
        )
        return self.failure

    def _wait(self, away: str | None, failed: Exception | None) -> None:
        now = time.monotonic()
        limit = self._refused_seconds if away is None else self._away_seconds
        if self._since is None:
            self._since = now
            if limit:
                log.info("%s; waiting up to %.0f s", away or f"{self._name} answers and refuses", limit)
        if now - self._since >= limit or interrupted():
            says = f". ML Metadata says: {' '.join(str(failed).split())}" if failed else ""
            what = away or f"{self._name} answers and refuses{self._hint and f': check {self._hint}'}"
            raise DatabaseError(
                f"{what}; waited {now - self._since:.0f} s. Bring the database back and start again: finished work is "
                f"kept{says}"
            ) from failed
        time.sleep(POLL_SECONDS)

    @property
    def _name(self) -> str:
        if self._connection.HasField("mysql"):
            mysql = self._connection.mysql
            return f"the database {mysql.database} on {mysql.host}:{mysql.port}"
        return f"the database {self._connection.sqlite.filename_uri}"

    def _look(self, ask: bool) -> str | None:
        """Why it cannot be used now, or None. Servers count such visits, so they are only asked if there is need."""
        if self._connection.HasField("sqlite"):
            return self._look_at_file(self._connection.sqlite.filename_uri)
        if not ask and self._since is None:
            return None
        mysql = self._connection.mysql
        try:
            with socket.create_connection((mysql.host, mysql.port), timeout=GREETING_SECONDS) as peer:
                if not peer.recv(1):
                    raise ConnectionError("it closes the connection")
        except OSError as error:
            return f"{self._name} does not answer ({error})"
        return None

    def _look_at_file(self, path: str) -> str | None:
        """A lock is looked for here, since ML Metadata itself would try for 20 s and hear no signal meanwhile."""
        if not os.path.isdir(os.path.dirname(path)):
            return f"the folder of {self._name} is not there"
        if not os.path.exists(path):
            return None
        try:
            return f"{self._name} is locked by another process" if is_locked(path) else None
        except sqlite3.DatabaseError:
            return None  # ML Metadata says what is wrong
