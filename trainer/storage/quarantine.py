"""What is stored: verified before it is used, and renamed if it is damaged."""

import json
import os
import time

from trainer.errors import ReportedError, reason
from trainer.storage.digests import DamageError, digest_file, verify_digests
from trainer.storage.durable import sync_folder, write_durably

DAMAGED = ".damaged-"  # in the name of what was moved away, before the time


def damage(folder: str) -> str | None:
    """What is wrong with the files below `folder`; None if they are what they were.

    Raises:
      ReportedError: they cannot be read, which may pass.
    """
    try:
        verify_digests(folder)
        return None
    except DamageError as error:
        return str(error)
    except OSError as error:
        raise ReportedError(
            f"{folder} cannot be read: {reason(error)}. Nothing was changed; make it readable, and start again"
        ) from error


def set_aside(folder: str, what: str) -> str:
    """Renames `folder` and its digests to a name with the time, writes `what` is wrong beside it, returns the name.

    Raises:
      ReportedError: it cannot be renamed.
    """
    now = time.strftime("%Y%m%dT%H%M%S")
    moved = f"{folder.rstrip('/')}{DAMAGED}{now}"
    try:
        while os.path.lexists(moved):
            moved += "x"
        write_durably(f"{moved}.json", json.dumps({"time": now, "reason": what, "was": folder}, indent=1).encode())
        if os.path.exists(digest_file(folder)):
            os.rename(digest_file(folder), digest_file(moved))
        if os.path.exists(folder):
            os.rename(folder, moved)
        sync_folder(os.path.dirname(moved))
    except OSError as error:
        raise ReportedError(
            f"{folder} is damaged ({what}) and cannot be renamed: {reason(error)}. Make its folder writable, and "
            "start again"
        ) from error
    return moved
