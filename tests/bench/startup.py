"""Measures the time of a run beside its training, from its console."""

import functools
import os
import re
import statistics
import tempfile

from tests.bench.data import FULL, HAS_CIFAR10, PREPARED
from tests.bench.growth import trained
from tests.bench.process import Finished, run_module
from tests.bench.rows import Row

HELPS = 3


def rows() -> list[Row]:
    """Measures the start of the command, its first training step, the pipeline's overhead, and cached reruns."""
    helps = [run_module("pipeline", "--help").seconds for _ in range(HELPS)]
    first, rerun = _twice("--dataset", "photo_patches", "--preset", "smoke", "--epochs", "3")
    rows = [
        Row("vaeiaf --help", more={"seconds": statistics.median(helps)}),
        Row("embedded data: to the first training step", more={"seconds": first_step_seconds(first.lines)}),
        _row("embedded data: cached rerun", rerun),
    ]
    if not HAS_CIFAR10:
        print("The pipeline on 60,000 images is left out: TFDS_DATA_DIR has no cifar10")
        return rows
    first, rerun = _twice("--dataset", "cifar10", "--data-dir", str(PREPARED.parent.parent), "--epochs", "1")
    alone = trained(FULL)
    return [
        *rows,
        _row("CIFAR-10, one epoch: vaeiaf run", first),
        _row("CIFAR-10, one epoch: python -m trainer", alone),
        Row("CIFAR-10: what the pipeline adds", more={"cpu_seconds": first.cpu_seconds - alone.cpu_seconds}),
        _row("CIFAR-10: cached rerun", rerun),
    ]


def _row(name: str, run: Finished) -> Row:
    return Row(name, more={"seconds": run.seconds, "cpu_seconds": run.cpu_seconds})


def first_step_seconds(console: list[tuple[float, str]]) -> float:
    """Returns the seconds from the start of the command to the end of the first step.

    The console shows the start of the loop. Its first epoch is longer than the second by tracing and compilation.
    """
    begins = next(second for second, text in console if text.lstrip().startswith("training on "))
    epochs = [float(match[1]) for _, text in console if (match := re.search(r"epoch \d+/.* ([\d.]+) s$", text))]
    return begins + max(epochs[0] - epochs[1], 0.0)


def _twice(*arguments: str) -> tuple[Finished, Finished]:
    """Runs `vaeiaf run` twice, first in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        run = functools.partial(run_module, "pipeline", "run", "--root", os.path.join(folder, "root"), *arguments)
        return run(), run()
