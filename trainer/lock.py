"""One process at a time in a folder. Imports no TensorFlow, so that a command line can look before there is work."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator

from trainer.errors import ReportedError, reason

log = logging.getLogger(__name__)


class BusyError(ReportedError):
    """Another process is at work in a folder. A scheduler may try again: the other one may end, well or not."""


@contextlib.contextmanager
def alone(folder: str, work: str, option: str) -> Iterator[None]:
    """Keeps out of `folder` whoever asks so too; where the disk knows no locks, as some that are shared, it does not.

    Args:
      folder: where the file `lock` is, or is made.
      work: what is done there, for the message.
      option: of the command line, which chooses another folder.

    Raises:
      BusyError: another process is at work there.
      OSError: the file cannot be made.
    """
    with open(os.path.join(folder, "lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                f"another {work} is at work in {folder}: wait for its end, or choose another {option}"
            ) from error
        except OSError as error:
            log.warning("%s cannot be locked (%s): let no other %s use it", folder, reason(error), work)
        yield
