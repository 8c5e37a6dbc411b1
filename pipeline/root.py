"""The folder of everything that runs leave behind."""

import contextlib
import errno
import os
import pathlib
import sqlite3
import time
from collections.abc import Iterator

from pipeline.config import PipelineConfig
from trainer.errors import StorageError, UserError
from trainer.lock import alone


@contextlib.contextmanager
def open_root(config: PipelineConfig) -> Iterator[str]:
    """Makes the folder, keeps other runs out of it, and yields the path of this run's log file.

    Raises:
      BusyError: another run is at work in it.
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
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{database} is not a database of ML Metadata ({error}): bring back a copy, or move it and {artifacts} "
            "away to start anew"
        ) from error
