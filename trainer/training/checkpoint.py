"""Checkpoints: the whole state of a training run, each written whole or not at all."""

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
PROGRESS = "progress/.ATTRIBUTES/VARIABLE_VALUE"  # what a checkpoint says of itself


class Checkpoints:
    """The checkpoints of one run, `step-<number>` in a folder that every worker sees.

    Args:
      folder: made with the first checkpoint.
      run: what is trained, on what, in JSON types; a checkpoint of another run is refused.
      writes: whether this process writes and sets aside; one of all workers does.
      **state: what is saved beside the progress, each with its variables.
    """

    def __init__(self, folder: str, run: dict[str, Any], writes: bool, **state: tf.Module) -> None:
        self.folder = folder
        self._run, self._writes = run, writes
        self._progress = tf.Variable("", dtype=tf.string, trainable=False)
        self._state = tf.train.Checkpoint(progress=self._progress, **state)

    def newest(self, before: float = math.inf) -> str | None:
        """Path of the newest checkpoint, of those after fewer than `before` steps."""
        return next((path for path in self._paths() if _step(path) < before), None)

    def save(self, step: int, progress: dict[str, Any]) -> None:
        """Writes the state after `step` steps, with `progress` in JSON types, then removes the oldest.

        Raises:
          StorageError: it cannot be written; what there was is untouched.
        """
        if not self._writes:
            return
        self._progress.assign(json.dumps({"run": self._run, "progress": progress}))
        path = os.path.join(self.folder, f"step-{step:09d}")
        write_tensors("the checkpoint", path, self._state)
        for old in self._paths()[KEPT:]:
            discard(old)

    def restore(self) -> dict[str, Any] | None:
        """Brings the state back from the newest checkpoint that can be read, and returns its progress.

        One that is damaged is set aside, with a warning, and the one before it is taken. None: there is none.

        Raises:
          UserError: it is of another run, or of other code.
          ReportedError: the system does not let it be read, which may pass.
          StorageError: it cannot be set aside.
        """
        for path in self._paths():
            try:
                content = _read(path)
            except DamageError as error:
                self._set_aside(path, error)
                continue
            self._check_run(content["run"], path)
            self._take(path)
            return content["progress"]
        return None

    def _paths(self) -> list[str]:
        """The newest first."""
        if not tf.io.gfile.isdir(self.folder):
            return []
        with reading("the folder of the checkpoints", self.folder):
            recover_all(self.folder)
            names = [name.rstrip("/") for name in tf.io.gfile.listdir(self.folder)]
        paths = (os.path.join(self.folder, name) for name in names if re.fullmatch(r"step-\d{9,}", name))
        return sorted(paths, key=_step, reverse=True)

    def _take(self, path: str) -> None:
        try:
            with reading("the checkpoint", path):
                self._state.read(verified_tensors(path)).assert_consumed()
        except (AssertionError, ValueError) as error:
            raise UserError(
                f"the checkpoint {path} has other variables than this version of the program: {reason(error)}. Go on "
                f"with the version that wrote it, or remove {self.folder} to start anew"
            ) from error

    def _set_aside(self, path: str, error: DamageError) -> None:
        aside = os.path.join(self.folder, f"unreadable-{os.path.basename(path)}")
        if self._writes:
            discard(aside)
            with storing("the damaged checkpoint", aside), temporary(aside, REPLACED) as other:
                aside = other if tf.io.gfile.exists(aside) else aside
                tf.io.gfile.rename(path, aside)
        log.warning(
            "the checkpoint %s is damaged (%s): it is set aside as %s, and the one before it is taken",
            path,
            error,
            aside,
        )

    def _check_run(self, other: dict[str, Any], path: str) -> None:
        differences = [
            f"{name} is {other.get(name)!r} there and {self._run.get(name)!r} here"
            for name in sorted({*self._run, *other})
            if self._run.get(name) != other.get(name)
        ]
        if differences:
            raise UserError(
                f"the checkpoint {path} is of another run: {'; '.join(differences)}. Go on with what it was made with, "
                f"or remove {self.folder} to start anew"
            )


def _read(path: str) -> dict[str, Any]:
    """What the checkpoint says of itself, once every byte of it was compared with its digests.

    Raises:
      DamageError: a byte is another one, or it was never written by this program.
      ReportedError: the system does not let it be read, which may pass.
    """
    with reading("the checkpoint", path):
        prefix = verified_tensors(path)
    try:
        content = json.loads(tf.train.load_checkpoint(prefix).get_tensor(PROGRESS))
        return {name: content[name] for name in ("run", "progress")}
    except (ValueError, TypeError, LookupError, tf.errors.OpError) as error:
        raise DamageError(reason(error)) from error


def _step(path: str) -> int:
    return int(path.rpartition("-")[2])
