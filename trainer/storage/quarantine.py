"""Verification of stored folders, and the quarantine of damaged ones."""

import json
import os
import time

from trainer.errors import ReportedError, UnreadableError
from trainer.storage.digests import DamageError, digest_file, verify_digests
from trainer.storage.durable import sync_folder, write_durably

DAMAGED = ".damaged-"  # in the name of a quarantined folder, before the time


def damage(folder: str) -> str | None:
    """Describes the damage to the files below `folder`, None if they match their digests.

    Raises:
      UnreadableError: they cannot be read at present.
    """
    try:
        verify_digests(folder)
        return None
    except DamageError as error:
        return str(error)
    except OSError as error:
        raise UnreadableError("the folder", folder, error) from error


def quarantine_folder(folder: str, fault: str) -> str:
    """Renames the damaged `folder` and its digests, writes the `fault` beside it, and returns the new name.

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
        remedy = "Make its parent folder writable, and start again"
        raise ReportedError(
            f"{folder} is damaged ({fault}) and cannot be renamed", value=folder, remedy=remedy, cause=error
        ) from error
    return moved
