"""The folder of everything that runs leave behind."""

import contextlib
import errno
import logging
import os
import pathlib
import sqlite3
import time
from collections.abc import Iterator

from pipeline.config import PipelineConfig
from trainer.errors import ReportedError, StorageError, UserError
from trainer.lock import alone

log = logging.getLogger(__name__)

LOCKED_SECONDS = 900.0  # that another process may hold the database
POLL_SECONDS = 0.2  # between tries meanwhile; a signal ends the wait


class LockedError(ReportedError):
    """Another process holds the database for too long. A scheduler may try again."""


@contextlib.contextmanager
def open_root(config: PipelineConfig) -> Iterator[str]:
    """Makes the folder, keeps other runs out of it, and yields the path of this run's log file.

    Raises:
      BusyError: another run is at work in it.
      LockedError: another process holds its metadata.
      UserError: it cannot be written, or has lost or broken metadata.
      StorageError: its disk is full.
    """
    with contextlib.ExitStack() as stack:
        try:
            logs = pathlib.Path(config.root, "logs")
            logs.mkdir(parents=True, exist_ok=True)
            log_file = logs / time.strftime(f"%Y%m%d-%H%M%S-{os.getpid()}.log")
            log_file.touch()
            stack.enter_context(alone(config.root, "run", "--root"))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageError("the log", config.root, error) from error
            raise UserError(
                f"--root {config.root} cannot be written: {error.strerror}. Choose another folder"
            ) from error
        _check_metadata(config.metadata, config.artifacts)
        yield str(log_file)


def _check_metadata(database: str, artifacts: str) -> None:
    if not os.path.exists(database):
        if os.path.isdir(artifacts) and os.listdir(artifacts):
            raise UserError(
                f"{artifacts} has results, but the database that knows them, {database}, is gone: "
                "bring it back, or move the results away to start anew"
            )
        return
    end, waiting = time.monotonic() + LOCKED_SECONDS, False
    while _is_locked(database, artifacts):
        if time.monotonic() >= end:
            raise LockedError(
                f"{database} is locked, and has been for {LOCKED_SECONDS:.0f} s: end the process that holds it, and "
                "run again"
            )
        if not waiting:
            waiting = True
            log.warning("waiting for %s, which another process has locked, up to %.0f s", database, LOCKED_SECONDS)
        time.sleep(POLL_SECONDS)


def _is_locked(database: str, artifacts: str) -> bool:
    """Whether another process keeps this one from writing to the database.

    Raises:
      UserError: it is none, or cannot be opened or written.
    """
    uri = f"{pathlib.Path(database).as_uri()}?mode=rw"  # quoted: a name may have % # and ?
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0.0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("SELECT name FROM sqlite_master").fetchall()
            connection.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        kind = error.sqlite_errorcode & 0xFF  # without the details that SQLite adds
        if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return True
        if kind in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise UserError(
                f"{database} is not a database of ML Metadata ({error}): bring back a copy, or move it and {artifacts} "
                "away to start anew"
            ) from error
        raise UserError(
            f"{database} cannot be read and written ({error}): let this user do so, or choose another --root"
        ) from error
    return False
