"""Trains a recipe of ours for a budget, with its evaluations.

`python -m tests.bench.quality_ours MINUTES FOLDER RECIPE` reads the arrays train.npy and test.npy in FOLDER, and the
recipe as JSON. The recipe's epochs give way to those that fit into the budget, so its schedule ends there.
"""

import dataclasses
import json
import pathlib
import sys

import numpy as np

from tests.bench import ours
from tests.bench.quality_points import report, steps_within
from trainer.evaluate import Evaluator
from trainer.images import ImageSet, shuffled_batches
from trainer.settings import TrainConfig
from trainer.training.loop import steps_per_call


def main(minutes: str, folder: str, recipe: str) -> None:
    """Trains, and prints the points."""
    train, test = (_images(pathlib.Path(folder, f"{split}.npy")) for split in ("train", "test"))
    config = TrainConfig(**json.loads(recipe))
    of_an_epoch, at_once = len(train) // config.batch_size, steps_per_call(config.batch_size, train.shape)
    takes = lambda step, done: _take(step, config, train, done, min(at_once, of_an_epoch - done % of_an_epoch))  # noqa: E731
    trial = ours.prepare(config, train.shape, of_an_epoch).step
    steps = steps_within(60.0 * float(minutes), lambda: takes(trial, 0))
    epochs = -(-steps // of_an_epoch)
    config = dataclasses.replace(config, epochs=epochs, warmup_epochs=min(config.warmup_epochs, epochs / 2))
    model, optimizer, step = ours.prepare(config, train.shape, steps // epochs)
    evaluator = Evaluator(model, samples=1)

    def evaluate() -> float:
        with optimizer.averaged():
            return evaluator(test).elbo

    report(steps, lambda done: takes(step, done), evaluate)


def _take(step: ours.TrainStep, config: TrainConfig, train: ImageSet, done: int, count: int) -> int:
    """Takes `count` steps within an epoch."""
    epoch, start = divmod(done, len(train) // config.batch_size)
    rows = shuffled_batches(np.arange(len(train)), config.batch_size, config.seed, epoch + 1)
    step(train.pixels, rows[start : start + count], done)
    return count


def _images(path: pathlib.Path) -> ImageSet:
    pixels = np.load(path)
    return ImageSet(pixels, np.arange(len(pixels), dtype=np.int64))


if __name__ == "__main__":
    main(*sys.argv[1:])
