"""Locks between processes, on files. Imports no TensorFlow, so that a command line can look before there is work."""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from typing import TextIO

from trainer.errors import ReportedError, reason

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2  # between tries to get a lock; a signal ends the wait
SILENT_SECONDS = 1.0  # of waiting, before a line says so


class BusyError(ReportedError):
    """Another process is at work in a folder. A scheduler may try again: the other one may end, well or not."""


@contextlib.contextmanager
def alone(folder: str, work: str, option: str) -> Iterator[None]:
    """Locks `folder` against other processes that call this. A disk without locks is used with a warning.

    Args:
      folder: where the file `lock` is, or is made.
      work: what is done there, for the message.
      option: of the command line, which chooses another folder.

    Raises:
      BusyError: another process is at work there.
      OSError: the file cannot be made.
    """
    with open(os.path.join(folder, "lock"), "a") as lock:
        if not _lock(lock, folder, work):
            raise BusyError(f"another {work} is at work in {folder}: wait for its end, or choose another {option}")
        yield


@contextlib.contextmanager
def locked(path: str, work: str) -> Iterator[None]:
    """Locks the file `path`, which is made, and waits for as long as another process has it locked.

    The lock ends with the block or with its process, however that dies, and holds on NFS too. A disk without locks is
    used with a warning.

    Args:
      path: of the file, which is nothing but a lock.
      work: what is done under the lock, for the log.

    Raises:
      OSError: the file cannot be made.
    """
    with open(path, "a") as lock:  # for writing: NFS makes it a lock of the file's bytes
        start, said = time.monotonic(), False
        while not _lock(lock, path, work):
            if not said and time.monotonic() - start >= SILENT_SECONDS:
                said = True
                log.info("waiting for another %s, which holds %s", work, path)
            time.sleep(POLL_SECONDS)
        yield


def _lock(file: TextIO, place: str, work: str) -> bool:
    """Locks `file` until it is closed; False if another process has it locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning("%s cannot be locked (%s): let no other %s use it", place, reason(error), work)
    return True
