"""Publishes a SavedModel as a new version and removes versions, whole or not at all. Imports no TensorFlow or TFX."""

import datetime
import os
import shutil
import tempfile
import time

from components.card.card import Card
from components.card.files import write_card
from components.card.names import FILES, without_card
from components.gate.serving import PRUNED
from components.gate.withdrawal import present, withdrawals
from trainer.errors import ReportedError
from trainer.storage.aside import NOTE, finish_moves, move_aside, moved_aside
from trainer.storage.digests import DamageError, Digests, check_digests, digest_file, digest_files, record_digests
from trainer.storage.durable import sync, sync_folder

STAGING = ".incomplete-"  # start of the name of a version that is not complete; a model server ignores it


def publish(model: str, digests: Digests, base: str, card: Card | None) -> str:
    """Copies the SavedModel at the path `model` to a new version in `base`, and returns the version's folder.

    The version gets the `card` with its own number; None leaves it without one. Call it with the lock of the push
    directory.

    Raises:
      ReportedError: the copy differs from `digests`.
      OSError: it cannot be written; nothing is left of it.
    """
    version = _next(base)
    path = os.path.join(base, str(version))
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=base) as folder:
        staging = os.path.join(folder, "model")
        try:
            shutil.copytree(model, staging)
            check_digests(staging, digests)
        except DamageError as error:
            what = f"the copy of the blessed model is damaged: {error}"
            raise ReportedError(what, value=staging, remedy="Start again; nothing was pushed") from error
        if card:
            write_card(card.numbered(version, datetime.datetime.now(datetime.UTC)), staging)
            digests = {**without_card(digests), **digest_files(staging, [*FILES])}
        sync(staging)
        record_digests(path, digests)
        os.rename(staging, path)
    sync_folder(base)
    return path


def unpublish(base: str, version: int) -> None:
    """Removes the version from `base`. If the process is killed, `clear_removed` completes it.

    Call it with the lock of the push directory.

    Raises:
      OSError: it cannot be renamed or removed.
    """
    move_aside(os.path.join(base, str(version)), PRUNED, {})
    clear_removed(base)


def clear_removed(base: str) -> None:
    """Removes what is left in `base` of removed versions.

    Raises:
      OSError: it cannot be removed.
    """
    finish_moves(base, PRUNED)
    for found in moved_aside(base, PRUNED):
        if os.path.exists(found.moved):
            shutil.rmtree(found.moved)
        for path in (digest_file(found.moved), found.moved + NOTE):  # the note last, without which nobody looks here
            if os.path.exists(path):
                os.remove(path)


def _next(base: str) -> int:
    """Returns the number of the next version, which is higher than all before, withdrawn ones too."""
    earlier = [*present(base), *(found.version for found in withdrawals(base))]
    return max([int(time.time()), *(version + 1 for version in earlier)])
