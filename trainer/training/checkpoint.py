"""Checkpoints of the whole state of a training run, written atomically."""

import json
import logging
import math
import os
import re
from typing import Any

import tensorflow as tf

from trainer.errors import UserError, reason
from trainer.storage.atomic import discard, reading, recover_all, storing
from trainer.storage.digests import DamageError
from trainer.storage.temporary import REPLACED, temporary
from trainer.storage.tensors import verified_tensors, write_tensors

log = logging.getLogger(__name__)

KEPT = 3  # newest checkpoints
PROGRESS = "progress/.ATTRIBUTES/VARIABLE_VALUE"  # name of the variable that holds the run and its progress


class Checkpoints:
    """The checkpoints of one run, `step-<number>` in a folder that all workers share.

    Args:
      folder: created with the first checkpoint.
      run: JSON types that identify the run: settings and data; a checkpoint of another run is refused.
      writes: whether this process writes and quarantines checkpoints; exactly one worker does.
      **state: modules whose variables are saved beside the progress.
    """

    def __init__(self, folder: str, run: dict[str, Any], writes: bool, **state: tf.Module) -> None:
        self.folder = folder
        self._run, self._writes = run, writes
        self._progress = tf.Variable("", dtype=tf.string, trainable=False)
        self._state = tf.train.Checkpoint(progress=self._progress, **state)

    def newest(self, before: float = math.inf) -> str | None:
        """Returns the path of the newest checkpoint with fewer than `before` steps."""
        return next((path for path in self._paths() if _step(path) < before), None)

    def save(self, step: int, progress: dict[str, Any]) -> None:
        """Writes the state after `step` steps, with `progress` in JSON types, then removes the oldest checkpoint.

        Raises:
          StorageError: it cannot be written; the existing checkpoints are untouched.
        """
        if not self._writes:
            return
        self._progress.assign(json.dumps({"run": self._run, "progress": progress}))
        path = os.path.join(self.folder, f"step-{step:09d}")
        write_tensors("the checkpoint", path, self._state)
        for old in self._paths()[KEPT:]:
            discard(old)

    def restore(self) -> dict[str, Any] | None:
        """Restores the state from the newest undamaged checkpoint and returns its progress, None if there is none.

        A damaged checkpoint is quarantined with a warning, and the previous one is used.

        Raises:
          UserError: the checkpoint belongs to another run or another version of the code.
          UnreadableError: the system cannot read it at present.
          StorageError: a damaged one cannot be renamed.
        """
        for path in self._paths():
            try:
                content = _read(path)
            except DamageError as error:
                self._quarantine(path, error)
                continue
            self._check_run(content["run"], path)
            self._restore_state(path)
            return content["progress"]
        return None

    def _paths(self) -> list[str]:
        """Lists the checkpoints, the newest first."""
        if not tf.io.gfile.isdir(self.folder):
            return []
        with reading("the checkpoint folder", self.folder):
            recover_all(self.folder)
            names = [name.rstrip("/") for name in tf.io.gfile.listdir(self.folder)]
        paths = (os.path.join(self.folder, name) for name in names if re.fullmatch(r"step-\d{9,}", name))
        return sorted(paths, key=_step, reverse=True)

    def _restore_state(self, path: str) -> None:
        try:
            with reading("the checkpoint", path):
                self._state.read(verified_tensors(path)).assert_consumed()
        except (AssertionError, ValueError) as error:
            what = f"the checkpoint {path} does not match the variables of this version"
            remedy = f"Resume with the version that wrote it, or remove {self.folder} to start from scratch"
            raise UserError(what, value=path, remedy=remedy, cause=error) from error

    def _quarantine(self, path: str, error: DamageError) -> None:
        moved = os.path.join(self.folder, f"unreadable-{os.path.basename(path)}")
        if self._writes:
            discard(moved)
            with storing("the damaged checkpoint", moved), temporary(moved, REPLACED) as other:
                moved = other if tf.io.gfile.exists(moved) else moved
                tf.io.gfile.rename(path, moved)
        log.warning("%s is damaged (%s) and was moved to %s; using the previous checkpoint", path, error, moved)

    def _check_run(self, other: dict[str, Any], path: str) -> None:
        differ = [name for name in sorted({*self._run, *other}) if self._run.get(name) != other.get(name)]
        if differ:
            raise UserError(
                f"the checkpoint {path} belongs to another run",
                value={name: other.get(name) for name in differ},
                valid=str({name: self._run.get(name) for name in differ}),
                remedy=f"Resume with the checkpoint's settings and data, or remove {self.folder} to start from scratch",
            )


def _read(path: str) -> dict[str, Any]:
    """Verifies every byte of a checkpoint and returns its run and progress.

    Raises:
      DamageError: a byte has changed, or another program wrote the folder.
      UnreadableError: the system cannot read it at present.
    """
    with reading("the checkpoint", path):
        prefix = verified_tensors(path)
    try:
        content = json.loads(tf.train.load_checkpoint(prefix).get_tensor(PROGRESS))
        return {name: content[name] for name in ("run", "progress")}
    except (ValueError, TypeError, LookupError, tf.errors.OpError) as error:
        raise DamageError(path, f"has no valid progress: {reason(error)}") from error


def _step(path: str) -> int:
    return int(path.rpartition("-")[2])
