"""The models that are served: the versions in a push directory, of which a model server takes the newest."""

import os
from typing import NamedTuple

from trainer.storage.digests import DamageError, Digests, below, compute_digests, identity, read_digests

LOCK = ".lock"  # in a push directory; a model server looks at numbers only
FORMAT_SERVING = "Format-Serving"  # where TFX keeps the SavedModel in a Model artifact


class Served(NamedTuple):
    """The newest version."""

    version: int
    path: str
    model: str  # identity of the SavedModel's files


def versions(base: str) -> list[int]:
    """The versions in a push directory, oldest first."""
    if not os.path.isdir(base):
        return []
    return sorted(int(name) for name in os.listdir(base) if name.isdigit())


def newest(base: str) -> Served | None:
    """The version that is served, by the digests written when it was pushed; None if there is none.

    Where they are damaged it is what its files are now.
    """
    found = versions(base)
    if not found:
        return None
    path = os.path.join(base, str(found[-1]))
    try:
        digests = read_digests(path)
    except DamageError:
        digests = compute_digests(path)
    return Served(found[-1], path, identity(digests))


def saved_model_digests(model: str) -> Digests:
    """Those recorded of the SavedModel in the Model artifact at the path `model`.

    Raises:
      DamageError: there are none, or they are damaged.
    """
    return below(read_digests(model), FORMAT_SERVING)
