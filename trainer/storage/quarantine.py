"""Verification of stored folders, and the quarantine of damaged ones."""

from trainer.errors import ReportedError, UnreadableError
from trainer.storage.aside import move_aside
from trainer.storage.digests import DamageError, verify_digests

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
    try:
        return move_aside(folder, DAMAGED, {"reason": fault})
    except OSError as error:
        remedy = "Make its parent folder writable, and start again"
        raise ReportedError(
            f"{folder} is damaged ({fault}) and cannot be renamed", value=folder, remedy=remedy, cause=error
        ) from error
