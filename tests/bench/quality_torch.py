"""Trains a PyTorch baseline with the recipe of the preset `mlp` for a budget, with its evaluations.

`python -m tests.bench.quality_torch MINUTES FOLDER RECIPE NAME` reads the arrays train.npy and test.npy in FOLDER, and
the recipe as JSON, with Adam's `beta`. Imports no TensorFlow.
"""

import json
import math
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from tests.bench.quality_points import CORES, report, steps_within
from tests.bench.torch_models import PIXELS, PlainVAE, PythaeVAE

MODELS = {"PyTorch": PlainVAE, "pythae VAE_IAF": PythaeVAE}
STEPS, EVALUATED_AT_ONCE = 16, 500  # of a call, and images


def main(minutes: str, folder: str, recipe: str, name: str) -> None:
    """Trains, and prints the points."""
    torch.set_num_threads(CORES)
    torch.manual_seed(0)
    train, test = (torch.from_numpy(np.load(pathlib.Path(folder, f"{split}.npy"))) for split in ("train", "test"))
    options = json.loads(recipe)
    trial = _steps(MODELS[name](), train, options, steps=10**9)
    steps = steps_within(60.0 * float(minutes), lambda: _take(trial))
    loss_of = MODELS[name]()
    training = _steps(loss_of, train, options, steps)

    def evaluate() -> float:
        parts = test.flatten(1).split(EVALUATED_AT_ONCE)
        with torch.no_grad():
            return -sum(float(loss_of(part.float() / 255.0)) * len(part) for part in parts) / len(test)

    report(steps, lambda _: _take(training), evaluate)


def _take(training: Iterator[None]) -> int:
    """Takes the steps of a call."""
    for _ in range(STEPS):
        next(training)
    return STEPS


def _steps(loss_of: torch.nn.Module, train: torch.Tensor, options: dict[str, Any], steps: int) -> Iterator[None]:
    """Trains without end on shuffled bytes, with Adam and a cosine over `steps` steps; yields after each step."""
    batch_size, done = options["batch_size"], 0
    warm_up = min(options["warmup_epochs"] * (len(train) // batch_size), steps / 2)
    optimizer = torch.optim.Adam(loss_of.parameters(), betas=(options["beta"], options["beta"]))
    while True:
        for rows in torch.randperm(len(train)).split(batch_size)[: len(train) // batch_size]:
            images = train[rows]
            if options["horizontal_flips"]:
                images = torch.where(torch.rand(len(rows), 1, 1, 1) < 0.5, images.flip(2), images)
            part = min(1.0, max(0.0, done - warm_up) / (steps - warm_up))
            cosine = done / warm_up if done < warm_up else 0.5 * (1.0 + math.cos(math.pi * part))
            optimizer.param_groups[0]["lr"] = options["learning_rate"] * cosine
            loss = loss_of(images.reshape(-1, PIXELS).float() / 255.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            yield


if __name__ == "__main__":
    main(*sys.argv[1:])
