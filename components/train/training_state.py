"""The state of a training, kept until its model is recorded: its name, who takes it over, and when it goes."""

import hashlib
import json
import logging
import os
from typing import Any

from trainer.storage.atomic import discard
from trainer.storage.digests import DamageError, compute_digests, identity, read_digests
from trainer.storage.durable import sync_folder, write_durably

log = logging.getLogger(__name__)

FINISHED = "finished"  # file in a state: the training came to its end, and only its model is not recorded yet
LEFT = "training.json"  # file in the artifact model_run: which state made it


def key(recipe: list[Any], artifacts: list[str]) -> str:
    """The name of a training, of what it is made from: `recipe`, in JSON types, and the content of `artifacts`.

    No path is part of it, so that a state directory may be moved.
    """
    return hashlib.sha256(json.dumps([*recipe, *sorted(map(_content, artifacts))]).encode()).hexdigest()[:16]


def claim(training: str, name: str, key: str) -> None:
    """Renames the finished state of another run of the same `key` to `name`, unless there is a state of that name.

    Of several runs that try, one gets it. Unfinished states are never touched: their runs may be training.
    """
    mine = os.path.join(training, name)
    if os.path.exists(mine) or not os.path.isdir(training):
        return
    for other in sorted(os.listdir(training)):
        if other.endswith(key) and os.path.exists(os.path.join(training, other, FINISHED)):
            try:
                os.rename(os.path.join(training, other), mine)
            except OSError:  # another run was faster
                continue
            sync_folder(training)
            log.info(
                "another run, %s, finished this training and did not record its model: resuming from its end", other
            )
            return


def finish(state: str) -> None:
    """Marks the state of a training that came to its end.

    Raises:
      OSError: it cannot be written.
    """
    os.makedirs(state, exist_ok=True)
    write_durably(os.path.join(state, FINISHED), b"")


def leave_name(model_run: str, name: str) -> None:
    """Writes into the artifact `model_run` which state made it, for `forget_training`.

    Raises:
      OSError: it cannot be written.
    """
    write_durably(os.path.join(model_run, LEFT), json.dumps({"state": name}).encode())


def forget_training(model_run: str, training: str) -> None:
    """Removes, from the folder `training`, the state that made the artifact `model_run`, whose model is recorded.

    It never fails: what cannot be removed is a warning.
    """
    path = os.path.join(model_run, LEFT)
    try:
        with open(path, "rb") as file:
            name = json.loads(file.read())["state"]
        if name != os.path.basename(name) or name in ("", ".", ".."):
            raise ValueError(f"{name!r} is no name of a folder")
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s does not say which state of a training to remove: %s", path, error)
        return
    discard(os.path.join(training, name))


def _content(artifact: str) -> str:
    try:
        return identity(read_digests(artifact))
    except DamageError:  # nobody recorded them
        return identity(compute_digests(artifact))
