"""The state directory: artifacts, metadata, pushed models and logs of all runs."""

import contextlib
import errno
import os
import pathlib
import sqlite3
import time
from collections.abc import Iterator

from pipeline.settings import PipelineConfig
from pipeline.state.sqlite import is_locked
from trainer.errors import StorageError, UserError
from trainer.storage.lock import alone


@contextlib.contextmanager
def open_root(config: PipelineConfig) -> Iterator[str]:
    """Creates and locks the state directory, and yields the path of this run's log file.

    Raises:
      BusyError: another run uses it.
      UserError: it cannot be written, or its metadata is lost or damaged.
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
            sentence, remedy = f"--root {config.root} cannot be written", "Choose another folder"
            raise UserError(sentence, value=config.root, remedy=remedy, cause=error) from error
        _check_metadata(config.metadata, config.artifacts)
        yield str(log_file)


def _check_metadata(database: str, artifacts: str) -> None:
    if not os.path.exists(database):
        if os.path.isdir(artifacts) and os.listdir(artifacts):
            remedy = "Restore it, or move the results away to start anew"
            sentence = f"{artifacts} has results, but their database {database} is missing"
            raise UserError(sentence, value=database, remedy=remedy)
        return
    try:
        is_locked(database)  # a store waits for a lock
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            fault = "is not a database of ML Metadata"
            remedy = f"Restore a copy, or move it and {artifacts} away to start anew"
        else:
            fault = "cannot be read and written"
            remedy = "Give this user access, or choose another --root"
        raise UserError(f"{database} {fault} ({error})", value=database, remedy=remedy) from error
