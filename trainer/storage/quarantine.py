"""Damage to stored folders: found by their digests, and quarantined under a new name."""

import json
import os
import time

from trainer.errors import ReportedError, reason
from trainer.storage.digests import DamageError, digest_file, verify_digests
from trainer.storage.durable import sync_folder, write_durably

DAMAGED = ".damaged-"  # in the name of a quarantined folder, before the time


def damage(folder: str) -> str | None:
    """Describes the damage to the files below `folder`; None if they are as recorded.

    Raises:
      ReportedError: they cannot be read, perhaps only for now.
    """
    try:
        verify_digests(folder)
        return None
    except DamageError as error:
        return str(error)
    except OSError as error:
        raise ReportedError(
            f"{folder} cannot be read: {reason(error)}",
            value=folder,
            remedy="Make it readable and start again; nothing was changed",
            cause=reason(error),
        ) from error


def quarantine_folder(folder: str, fault: str) -> str:
    """Renames `folder` and its digests to a name with the time, and returns the name.

    A file beside it, of that name and `.json`, records the time, the `fault` and the old name.

    Raises:
      ReportedError: it cannot be renamed.
    """
    now = time.strftime("%Y%m%dT%H%M%S")
    moved = f"{folder.rstrip('/')}{DAMAGED}{now}"
    try:
        while os.path.lexists(moved):
            moved += "x"
        write_durably(f"{moved}.json", json.dumps({"time": now, "reason": fault, "was": folder}, indent=1).encode())
        if os.path.exists(digest_file(folder)):
            os.rename(digest_file(folder), digest_file(moved))
        if os.path.exists(folder):
            os.rename(folder, moved)
        sync_folder(os.path.dirname(moved))
    except OSError as error:
        raise ReportedError(
            f"{folder} is damaged ({fault}) and cannot be renamed: {reason(error)}",
            value=folder,
            remedy="Make its parent folder writable and start again",
            cause=reason(error),
        ) from error
    return moved
