"""Checkpoints: the whole state of a training run, each written whole or not at all."""

import contextlib
import json
import logging
import math
import os
import re
from typing import Any

import tensorflow as tf

from trainer.errors import UserError, reason
from trainer.storage import reading, remove, storing, whole

log = logging.getLogger(__name__)

KEPT = 3  # newest checkpoints
CHUNK_BYTES = 2**24
STATE, PROGRESS = "state", "progress/.ATTRIBUTES/VARIABLE_VALUE"  # files of a checkpoint, and what is said in them


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
        """Writes the state after `step` steps, with `progress` in JSON types, and forgets the oldest.

        Raises:
          StorageError: it cannot be written; what there was is untouched.
        """
        if not self._writes:
            return
        self._progress.assign(json.dumps({"run": self._run, "progress": progress}))
        path = os.path.join(self.folder, f"step-{step:09d}")
        with whole("the checkpoint", path) as unfinished:
            self._state.write(os.path.join(unfinished, STATE))
        for old in self._paths()[KEPT:]:
            remove(old)

    def restore(self) -> dict[str, Any] | None:
        """Brings the state back from the newest checkpoint that can be read, and returns its progress.

        One that is damaged is set aside, with a warning, and the one before it is taken. None: there is none.

        Raises:
          UserError: it is of another run, or of other code.
          ReportedError: the system does not let it be read, which may pass.
          StorageError: it cannot be set aside.
        """
        for path in self._paths():
            _fetch(path)
            try:
                content = self._read(path)
            except (ValueError, IndexError, tf.errors.OpError) as error:  # what TensorFlow makes of damage
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
            names = [name.rstrip("/") for name in tf.io.gfile.listdir(self.folder)]
        paths = (os.path.join(self.folder, name) for name in names if re.fullmatch(r"step-\d{9,}", name))
        return sorted(paths, key=_step, reverse=True)

    def _read(self, path: str) -> dict[str, Any]:
        """What the checkpoint says of itself, once every byte of it was read and held against its checksum."""
        reader = tf.train.load_checkpoint(os.path.join(path, STATE))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
        return json.loads(reader.get_tensor(PROGRESS))

    def _take(self, path: str) -> None:
        try:
            with reading("the checkpoint", path):
                self._state.read(os.path.join(path, STATE)).assert_consumed()
        except (AssertionError, ValueError) as error:
            raise UserError(
                f"the checkpoint {path} has other variables than this version of the program: {reason(error)}. Go on "
                f"with the version that wrote it, or remove {self.folder} to start anew"
            ) from error

    def _set_aside(self, path: str, error: Exception) -> None:
        aside = os.path.join(self.folder, f"unreadable-{os.path.basename(path)}")
        log.warning(
            "the checkpoint %s is damaged (%s): it is set aside as %s, and the one before it is taken",
            path,
            reason(error),
            aside,
        )
        if self._writes:
            with storing("the damaged checkpoint", aside):
                remove(aside)
                tf.io.gfile.rename(path, aside)

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


def _fetch(path: str) -> None:
    """Reads the files once as files: to TensorFlow's reader one that the system withholds for now is a damaged one.

    What is not there at all, or no folder, is left for that reader to find.
    """
    with (
        reading("the checkpoint", path),
        contextlib.suppress(tf.errors.NotFoundError, tf.errors.FailedPreconditionError),
    ):
        for name in tf.io.gfile.listdir(path):
            with tf.io.gfile.GFile(os.path.join(path, name), "rb") as file:
                while file.read(CHUNK_BYTES):
                    pass


def _step(path: str) -> int:
    return int(path.rpartition("-")[2])
