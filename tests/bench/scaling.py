"""Training on one worker and on two, each pinned to a core of its own and to one thread."""

import os
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

from tests.bench.rows import Row
from trainer.launch import launch

# preset and images of a step for each worker: the gradients to add up are the same, however many images they are of
CASES = (("default", 128), ("default", 512), ("resnet", 64))


class Scaling(NamedTuple):
    """Images per second."""

    one: float
    two: float  # of both together


def rows() -> list[Row]:
    """A row for one and for two workers of each case."""
    return [row for preset, size in CASES for row in _rows(preset, size, measured(preset, size))]


def measured(preset: str, size: int) -> Scaling:
    """Starts both and waits for them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.bench.scaling_worker", folder, preset, str(size)]
        alone = {**os.environ, "TF_CONFIG": "{}"}
        subprocess.run([*command, "default"], check=True, env=alone, stderr=subprocess.DEVNULL)
        one = _rate(folder)
        launch([*command, "multi_worker"], folder, workers=2)
        return Scaling(one, _rate(folder))


def _rate(folder: str) -> float:
    with open(os.path.join(folder, "rates")) as file:
        return statistics.median(float(line) for line in file)


def _rows(preset: str, size: int, scaling: Scaling) -> list[Row]:
    efficiency = scaling.two / (2.0 * scaling.one)
    return [
        Row(f"{preset}, one worker on one core", size, scaling.one),
        Row(f"{preset}, two workers on a core each", 2 * size, scaling.two, more={"of_twice_one": efficiency}),
    ]
