"""File locks between processes. Imports no TensorFlow, so that a command line can check a lock early."""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from typing import TextIO

from trainer.errors import ReportedError, reason

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2  # between attempts to get a lock; a signal ends the wait
SILENT_SECONDS = 1.0  # of waiting before the log says so


class BusyError(ReportedError):
    """A folder that another process uses; a scheduler may try again."""


@contextlib.contextmanager
def alone(folder: str, work: str, option: str) -> Iterator[None]:
    """Locks `folder` against other processes that call this; warns if the disk has no locks.

    Args:
      folder: contains the file `lock`, which is created.
      work: what this process does in the folder, for the message.
      option: option of the command line that selects the folder.

    Raises:
      BusyError: another process has the lock.
      OSError: the file cannot be created.
    """
    with open(os.path.join(folder, "lock"), "a") as lock:
        if not (_lock(lock, folder, work) or _lock_again(lock, folder, work)):
            remedy = f"Wait until it ends, or choose another {option}"
            raise BusyError(f"{folder} is in use by another {work}", value=folder, remedy=remedy)
        yield


@contextlib.contextmanager
def locked(path: str, work: str) -> Iterator[None]:
    """Locks the file `path`, which it creates, and waits while another process has the lock.

    The lock ends with the block or with the process, and works on NFS too. If the disk has no locks, the log has a
    warning and the block runs.

    Args:
      path: of a file that serves only as the lock.
      work: what this process does under the lock, for the log.

    Raises:
      OSError: the file cannot be created.
    """
    with open(path, "a") as lock:  # open for writing, which NFS requires of an exclusive lock
        start, said = time.monotonic(), False
        while not _lock(lock, path, work):
            if not said and time.monotonic() - start >= SILENT_SECONDS:
                said = True
                log.info("waiting for another %s, which holds %s", work, path)
            time.sleep(POLL_SECONDS)
        yield


def is_held(path: str) -> bool:
    """Tells whether another process has the lock of the file `path`."""
    try:
        with open(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no such file, or the disk has no locks
        return False
    return False


def _lock_again(file: TextIO, place: str, work: str) -> bool:
    """Locks after a moment: `is_held` may have had the lock, which takes no time."""
    time.sleep(POLL_SECONDS)
    return _lock(file, place, work)


def _lock(file: TextIO, place: str, work: str) -> bool:
    """Locks `file` until it is closed; returns False if another process has the lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning("%s cannot be locked (%s); make sure that no other %s uses it", place, reason(error), work)
    return True
