"""The state of a training, kept until its model is recorded: its name, its takeover by another run, its removal."""

import hashlib
import json
import logging
import os
import pathlib
from typing import Any

from trainer.storage.atomic import discard
from trainer.storage.digests import identity, recorded_or_present
from trainer.storage.durable import sync_folder, write_durably

log = logging.getLogger(__name__)

FINISHED = "finished"  # file in the state of a finished training whose model is not recorded yet
LEFT = "training.json"  # file in the artifact model_run, with the name of the state that made it


def key(recipe: list[Any], artifacts: list[str]) -> str:
    """Returns the name of a training, a hash of its `recipe`, in JSON types, and of the content of `artifacts`.

    The hash covers no path, so a state directory may be moved.
    """
    contents = (identity(recorded_or_present(artifact)) for artifact in artifacts)
    return hashlib.sha256(json.dumps([*recipe, *sorted(contents)]).encode()).hexdigest()[:16]


def claim(training: str, name: str, key: str) -> None:
    """Renames another run's finished state of the same `key` to `name`, unless `name` exists.

    One of several concurrent runs succeeds. Unfinished states stay, because their runs may be training.
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
            log.info("resuming at the end of this training, which another run, %s, finished but did not record", other)
            return


def finish(state: str) -> None:
    """Marks the state of a training as finished.

    Raises:
      OSError: it cannot be written.
    """
    os.makedirs(state, exist_ok=True)
    write_durably(os.path.join(state, FINISHED), b"")


def leave_name(model_run: str, name: str) -> None:
    """Writes the name of its state into the artifact `model_run`, for `forget_training`.

    Raises:
      OSError: it cannot be written.
    """
    write_durably(os.path.join(model_run, LEFT), json.dumps({"state": name}).encode())


def forget_training(model_run: str, training: str) -> None:
    """Removes the state of the artifact `model_run`, whose model is recorded, from the folder `training`.

    A failure is a warning.
    """
    path = os.path.join(model_run, LEFT)
    try:
        name = json.loads(pathlib.Path(path).read_bytes())["state"]
        if name != os.path.basename(name) or name in ("", ".", ".."):
            raise ValueError(f"{name!r} is not the name of a folder")
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s does not name the training state to remove: %s", path, error)
        return
    discard(os.path.join(training, name))
