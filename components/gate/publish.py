"""Publishes a SavedModel as a new version, whole or not at all. Imports neither TensorFlow nor TFX."""

import os
import shutil
import tempfile
import time

from components.gate.serving import versions
from components.gate.withdrawal import withdrawals
from trainer.errors import ReportedError
from trainer.storage.digests import DamageError, Digests, check_digests, record_digests
from trainer.storage.durable import sync, sync_folder

STAGING = ".incomplete-"  # start of the name of a version that is not complete; a model server ignores it


def publish(model: str, digests: Digests, base: str) -> str:
    """Copies the SavedModel at the path `model` to a new version in `base`, and returns the version's folder.

    Call it with the lock of the push directory.

    Raises:
      ReportedError: the copy differs from `digests`.
      OSError: it cannot be written; nothing is left of it.
    """
    path = os.path.join(base, str(_next(base)))
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=base) as folder:
        staging = os.path.join(folder, "model")
        try:
            shutil.copytree(model, staging)
            check_digests(staging, digests)
        except DamageError as error:
            what = f"the copy of the blessed model is damaged: {error}"
            raise ReportedError(what, value=staging, remedy="Start again; nothing was pushed") from error
        sync(staging)
        record_digests(path, digests)
        os.rename(staging, path)
    sync_folder(base)
    return path


def _next(base: str) -> int:
    """Returns the number of the next version, which is higher than all before, withdrawn ones too."""
    earlier = [*versions(base), *(found.version for found in withdrawals(base))]
    return max([int(time.time()), *(version + 1 for version in earlier)])
