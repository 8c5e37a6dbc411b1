"""Connects to the database of ML Metadata, and waits while it is unavailable."""

import logging
import os
import re
import socket
import sqlite3
import time
from collections.abc import Callable

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.state.sqlite import is_locked
from trainer.errors import ReportedError
from trainer.interrupt import interrupted

log = logging.getLogger(__name__)

AWAY_SECONDS = 900.0  # that a database may be unavailable, unless cluster.yaml says otherwise
REFUSED_SECONDS = 120.0  # that a server may refuse connections: it may be starting, or have too many
POLL_SECONDS = 0.5
GREETING_SECONDS = 10.0  # for the first byte of a server; ML Metadata itself waits forever

# ML Metadata raises these when a connection is lost or refused, or the file is locked; only the text tells which.
FAILURES = (RuntimeError, errors.AbortedError, errors.InternalError, errors.UnavailableError)

SQL = r"(?s) query:\s+[A-Z]{5,}.*"  # in a message of ML Metadata


class DatabaseError(ReportedError):
    """The database is unavailable, refuses connections, is locked, full or damaged."""


def sqlite_connection(path: str) -> mlmd.ConnectionConfig:
    """Returns the connection to the SQLite file at `path`, which is created if it is missing."""
    mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return mlmd.ConnectionConfig(sqlite=mlmd.SqliteMetadataSourceConfig(filename_uri=path, connection_mode=mode))


class Database:
    """A database that may be unavailable for a while.

    Args:
      connection: of ML Metadata.
      away_seconds: how long to wait for it.
      hint: what to check when a server refuses connections.
    """

    def __init__(self, connection: mlmd.ConnectionConfig, away_seconds: float = AWAY_SECONDS, hint: str = "") -> None:
        self.connection, self._hint = connection, hint
        self._away_seconds, self._refused_seconds = away_seconds, min(away_seconds, REFUSED_SECONDS)
        self._since: float | None = None
        self.failure: ReportedError | None = None

    def patiently(self, attempt: Callable[[], None], connects: bool = False) -> None:
        """Makes the `attempt`, again and again until the database answers.

        Before an attempt that `connects`, and after a failure, the server must send its first byte.

        Raises:
          DatabaseError: the wait was too long, after which later attempts are made once; or an SQLite file is damaged,
            or its disk is full.
          Exception: whatever else `attempt` raised.
        """
        try:
            failed: Exception | None = None
            while True:
                away = self._look(connects or failed is not None)
                if away is None:
                    try:
                        attempt()
                        self._since = None
                        return
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
        """Tells whether waiting cannot help: an SQLite file that exists and is not locked reports a real fault."""
        return (
            self.connection.HasField("sqlite") and not isinstance(error, errors.AbortedError) and not self._look(True)
        )

    def broken(self, what: str) -> DatabaseError:
        """Records and returns the error of a database that answers wrongly; TFX may swallow it when it is raised."""
        said = " ".join(what.split())
        remedy = (
            "If its disk is full, free some space; if it is damaged, restore a copy, or move it and the artifacts "
            "beside it away to start anew"
        )
        self.failure = DatabaseError(
            f"{self._name} cannot be used: {said}", value=self._name, remedy=remedy, cause=said
        )
        return self.failure

    def _wait(self, away: str | None, failed: Exception | None) -> None:
        now = time.monotonic()
        limit = self._refused_seconds if away is None else self._away_seconds
        if self._since is None:
            self._since = now
            if limit:
                log.info("%s; waiting up to %.0f s", away or f"{self._name} refuses connections", limit)
        if now - self._since >= limit or interrupted():
            said = " ".join(str(failed).split()) if failed else ""
            what = away or f"{self._name} refuses connections{self._hint and f': check {self._hint}'}"
            sentence = f"{what}; waited {now - self._since:.0f} s{said and f' (ML Metadata says: {said})'}"
            remedy = "Restore the database and start again: finished work is kept"
            raise DatabaseError(sentence, value=self._name, remedy=remedy, cause=said) from failed
        time.sleep(POLL_SECONDS)

    @property
    def _name(self) -> str:
        if self.connection.HasField("mysql"):
            mysql = self.connection.mysql
            return f"the database {mysql.database} on {mysql.host}:{mysql.port}"
        return f"the database {self.connection.sqlite.filename_uri}"

    def _look(self, ask: bool) -> str | None:
        """Returns why the database cannot be used now, or None. A server is asked only if needed: it counts visits."""
        if self.connection.HasField("sqlite"):
            return self._look_at_file(self.connection.sqlite.filename_uri)
        if not ask and self._since is None:
            return None
        mysql = self.connection.mysql
        try:
            with socket.create_connection((mysql.host, mysql.port), timeout=GREETING_SECONDS) as peer:
                if not peer.recv(1):
                    raise ConnectionError("it closes the connection")
        except OSError as error:
            return f"{self._name} does not answer ({error})"
        return None

    def _look_at_file(self, path: str) -> str | None:
        """Looks for a lock here, because ML Metadata would retry for 20 s and block signals meanwhile."""
        if not os.path.isdir(os.path.dirname(path)):
            return f"the folder of {self._name} is missing"
        if not os.path.exists(path):
            return None
        try:
            return f"{self._name} is locked by another process" if is_locked(path) else None
        except sqlite3.DatabaseError:
            return None  # ML Metadata reports what is wrong
