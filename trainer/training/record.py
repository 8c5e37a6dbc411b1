"""The record of a training run: progress, result, TensorBoard scalars and history."""

import json
import logging
import math
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pydantic
import tensorflow as tf

from trainer.evaluate import GroupKL, MeanELBO, Quality
from trainer.model.latent_model import LatentModel
from trainer.settings import TrainConfig
from trainer.storage.atomic import discard, storing, whole
from trainer.storage.durable import sync

log = logging.getLogger(__name__)

HISTORY = "history.json"
EVENTS = "events.out.tfevents."  # prefix of TensorFlow's files of scalars


class Epoch(NamedTuple):
    """The results of an epoch; ELBOs in nats per image."""

    epoch: int  # from 1
    train_elbo: float  # mean over the epoch's batches, each before its update
    held_out: MeanELBO  # selects the epoch that is exported
    test: MeanELBO  # reported, never used for a decision
    images_per_second: float  # of training, evaluation excluded
    seconds: float  # of training, evaluation excluded

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON types."""
        return {**self._asdict(), "held_out": self.held_out._asdict(), "test": self.test._asdict()}


class Progress(NamedTuple):
    """The progress of a run. With the weights and the configuration, it determines the rest of the run.

    The order and noise of the images are functions of the seed and of these numbers.
    """

    steps: int = 0  # finished steps of all epochs
    elbo: float = 0.0  # sum over the steps of the unfinished epoch, nats per image
    seconds: float = 0.0  # of training in the unfinished epoch
    epochs: tuple[Epoch, ...] = ()

    def after(self, elbo: np.ndarray, seconds: float) -> "Progress":
        """Returns the progress after further steps with these ELBOs, [S], nats per image, that took `seconds`."""
        steps, total = self.steps + len(elbo), self.elbo + float(np.sum(elbo, dtype=np.float64))
        return self._replace(steps=steps, elbo=total, seconds=self.seconds + seconds)

    @property
    def best(self) -> Epoch:
        """The epoch with the best held-out ELBO, the first of equals."""
        return max(self.epochs, key=lambda epoch: epoch.held_out.elbo)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON types."""
        return {**self._asdict(), "epochs": [epoch.to_dict() for epoch in self.epochs]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Progress":
        """Undoes `to_dict`."""
        return pydantic.TypeAdapter(cls).validate_python(values)


class TrainResult(NamedTuple):
    """A trained model with its training record."""

    model: LatentModel  # with the weights of the epoch with the best held-out ELBO, averaged if config.ema_decay
    epochs: tuple[Epoch, ...]
    best_epoch: int
    test: MeanELBO  # of `model`, with config.eval_samples draws per image
    quality: Quality | None  # on the test set, if config.importance_samples
    latents: tuple[GroupKL, ...]  # on the test set, from the draws of `test`


class Writer:
    """Reports epochs in the log and, if this process `writes`, as TensorBoard scalars in a folder.

    It is a context manager that closes the file.

    Raises:
      StorageError: the scalars cannot be written.
    """

    def __init__(self, workdir: str, writes: bool) -> None:
        self._workdir = workdir
        with storing("the scalars for TensorBoard", workdir):
            self._earlier = scalar_files(workdir) if writes else []
            self._events = tf.summary.create_file_writer(workdir) if writes else tf.summary.create_noop_writer()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *error: object) -> None:
        with storing("the scalars for TensorBoard", self._workdir):
            self._events.close()

    def begin(self, epochs: tuple[Epoch, ...]) -> None:
        """Writes the scalars of the finished epochs, then removes the files of earlier starts, which repeat them."""
        for epoch in epochs:
            self.write(epoch)
        if self._earlier:
            replace_scalars(self._workdir, self._earlier)

    def report(self, epoch: Epoch, epochs: int) -> None:
        """Logs the epoch and writes its scalars."""
        log.info(
            "epoch %d/%d  test ELBO %.2f = reconstruction %.2f - KL %.2f  held-out %.2f  %.0f images/s  %.1f s",
            epoch.epoch,
            epochs,
            *epoch.test,
            epoch.held_out.elbo,
            epoch.images_per_second,
            epoch.seconds,
        )
        self.write(epoch)

    def write(self, epoch: Epoch) -> None:
        """Writes the epoch's scalars."""
        with storing("the scalars for TensorBoard", self._workdir), self._events.as_default(step=epoch.epoch):
            tf.summary.scalar("train/elbo", epoch.train_elbo)
            for name, mean in (("held_out", epoch.held_out), ("test", epoch.test)):
                for part, value in mean._asdict().items():
                    tf.summary.scalar(f"{name}/{part}", value)
            tf.summary.scalar("images_per_second", epoch.images_per_second)
            tf.summary.scalar("seconds", epoch.seconds)
            self._events.flush()


def scalar_files(workdir: str) -> list[str]:
    """Lists the files of TensorBoard scalars in a folder, none if the folder does not exist."""
    names = tf.io.gfile.listdir(workdir) if tf.io.gfile.isdir(workdir) else []
    return [name for name in names if name.startswith(EVENTS)]


def replace_scalars(workdir: str, earlier: list[str]) -> None:
    """Removes the files `earlier` once the other files of scalars in the folder are flushed to disk.

    Raises:
      StorageError: the others cannot be written.
    """
    with storing("the scalars for TensorBoard", workdir):
        for name in set(scalar_files(workdir)) - set(earlier):
            sync(os.path.join(workdir, name))
    for name in earlier:
        discard(os.path.join(workdir, name))


def write_history(config: TrainConfig, result: TrainResult, workdir: str) -> None:
    """Writes `history.json`.

    Raises:
      StorageError: it cannot be written.
    """
    history = {
        "config": config.to_dict(),
        "best_epoch": result.best_epoch,
        "test": result.test._asdict(),
        "quality": result.quality and result.quality._asdict(),
        "latents": [group._asdict() for group in result.latents],
        "epochs": [epoch.to_dict() for epoch in result.epochs],
    }
    with whole("the history", os.path.join(workdir, HISTORY)) as path:
        pathlib.Path(path).write_text(json.dumps(history, indent=1))


def read_history(workdir: str) -> dict[str, Any]:
    """Returns the history that `write_history` wrote to the folder `workdir`."""
    return json.loads(pathlib.Path(workdir, HISTORY).read_text())


class Pace(NamedTuple):
    """The time that a training took, without evaluation."""

    seconds: float  # of all epochs
    images_per_second: float  # NaN if they took no time


def pace(history: dict[str, Any]) -> Pace:
    """Returns the pace of the training of a history."""
    seconds = sum(epoch["seconds"] for epoch in history["epochs"])
    images = sum(epoch["seconds"] * epoch["images_per_second"] for epoch in history["epochs"])
    return Pace(seconds, images / seconds if seconds else math.nan)
