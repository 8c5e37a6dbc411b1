"""Measures training on one worker and on two, each pinned to its own core and to one thread."""

import os
import statistics
import sys
import tempfile
from typing import NamedTuple

from tests.bench.rows import Row
from trainer.workers.launch import launch

# preset, and images per step and worker: the size of the exchanged gradients does not depend on the images
CASES = (("mlp", 128), ("mlp", 512), ("resnet", 64), ("resnet", 128))


class Scaling(NamedTuple):
    """Images per second and the efficiency of two workers, as medians over rounds in which both take turns."""

    one: float
    two: float  # both workers together
    of_twice_one: float


def rows() -> list[Row]:
    """Measures a row for one worker and for two workers of each case."""
    return [row for preset, size in CASES for row in _rows(preset, size, measured(preset, size))]


def measured(preset: str, size: int) -> Scaling:
    """Starts two workers and reads their rates."""
    with tempfile.TemporaryDirectory() as folder:
        launch([sys.executable, "-m", "tests.bench.scaling_worker", folder, preset, str(size)], folder, workers=2)
        with open(os.path.join(folder, "rates")) as file:
            rounds = [[float(rate) for rate in line.split()] for line in file]
    ratios = [two / (2.0 * one) for one, two in rounds]
    return Scaling(*(statistics.median(values) for values in (*zip(*rounds, strict=True), ratios)))


def _rows(preset: str, size: int, scaling: Scaling) -> list[Row]:
    efficiency = {"of_twice_one": scaling.of_twice_one}
    return [
        Row(f"{preset}, one worker on one core", size, scaling.one),
        Row(f"{preset}, two workers on a core each", 2 * size, scaling.two, more=efficiency),
    ]
