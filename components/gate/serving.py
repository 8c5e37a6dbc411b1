"""Served models: the versions in a push directory. A model server takes the newest."""

import os
from typing import NamedTuple

from components.card.names import model_identity
from components.gate.withdrawal import is_withdrawn, present, withdrawals
from trainer.storage.aside import moved_aside
from trainer.storage.digests import Digests, below, read_digests, recorded_or_present

LOCK = ".lock"  # in a push directory; a model server reads only names that are numbers
PRUNED = ".pruned-"  # in the name of a version that is being removed, before the time
FORMAT_SERVING = "Format-Serving"  # TFX's folder of the SavedModel in a Model artifact


class Served(NamedTuple):
    """The newest version."""

    version: int
    path: str
    model: str  # identity of the SavedModel's files, without its card


def versions(base: str) -> list[int]:
    """Returns the versions in the push directory `base`, oldest first.

    What a killed process was withdrawing or removing is none: the next push, prune or change completes that.
    """
    gone, removed = withdrawals(base), {found.folder for found in moved_aside(base, PRUNED)}
    paths = {version: os.path.join(base, str(version)) for version in present(base)}
    return [version for version, path in paths.items() if path not in removed and not is_withdrawn(path, gone)]


def newest(base: str) -> Served | None:
    """Returns the version that is served from `base`, or None.

    The digests written at its push identify the model; if they are damaged, its present files do.
    """
    found = versions(base)
    if not found:
        return None
    path = os.path.join(base, str(found[-1]))
    return Served(found[-1], path, model_identity(recorded_or_present(path)))


def saved_model_digests(model: str) -> Digests:
    """Returns the recorded digests of the SavedModel in the Model artifact at the path `model`.

    Raises:
      DamageError: the record is missing or damaged.
    """
    return below(read_digests(model), FORMAT_SERVING)
