"""Measures the largest resident set of a training of each preset, with its evaluations.

The images themselves are not in it: in memory they add a byte for each of their values, 185 MB for CIFAR-10.
"""

import dataclasses
import sys
import tempfile
from collections.abc import Iterable

from tests.bench.data import random_images
from tests.bench.process import run_module
from tests.bench.rows import Row
from trainer.presets import PRESETS
from trainer.training.loop import train_and_evaluate

STEPS, EVALUATED = 8, 2000  # an evaluation draws for 2,000 images at once


def rows(names: Iterable[str] = PRESETS) -> list[Row]:
    """Measures a row for each preset, in a process of its own."""
    return [
        Row(
            f"training of {name}, 32x32x3 pixels",
            PRESETS[name].batch_size,
            more={"peak_mb": run_module(__name__, name).peak_mb},
        )
        for name in names
    ]


def main(name: str) -> None:
    """Trains the preset for a few steps, then evaluates as at the end of a run."""
    config = PRESETS[name]
    # The importance-weighted bound draws no more at once than the ELBO, and takes minutes.
    short = dataclasses.replace(config, epochs=1, warmup_epochs=0.0, importance_samples=0)
    train, unseen = random_images(STEPS * config.batch_size), random_images(EVALUATED)
    with tempfile.TemporaryDirectory() as folder:
        train_and_evaluate(short, train, unseen, folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
