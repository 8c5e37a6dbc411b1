"""Measures quality against the time of training, for the presets and for PyTorch and pythae, on CIFAR-10.

Each contestant trains in a process of its own, whose threads' time is the clock. So other work on the machine counts
for little, and contestants need not take turns. quality.json has each point as soon as it is measured, and the next run
trains only contestants that are not complete there with the same budget and recipe.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tests.bench.data import FULL, HAS_CIFAR10, SHAPE, records
from tests.bench.quality_figure import Curve, figure
from tests.bench.rows import Row
from tests.bench.torch_parent import lacks_packages
from trainer.images import load_images, preprocessing
from trainer.model.likelihoods import LIKELIHOODS, bits_per_dim
from trainer.presets import PRESETS, recipe
from trainer.settings import TrainConfig
from trainer.training.optimizer import BETA

MINUTES = 60.0
TARGETS = {"nats": -1820.0, "bits/dim": 4.8}
POINTS, FIGURE = pathlib.Path("quality.json"), pathlib.Path("quality.svg")
TORCH = ("PyTorch", "pythae VAE_IAF")  # with the recipe of `mlp`


class NoDataError(RuntimeError):
    """There is no CIFAR-10."""


class Contestant(NamedTuple):
    """A training whose quality is measured."""

    name: str
    config: TrainConfig
    command: list[str]  # prints the points: seconds of training and nats


def rows(torch_python: str, presets: Sequence[str], minutes: float) -> list[Row]:
    """Measures a row for each contestant, and draws the figure after each of them.

    Raises:
      NoDataError: there is no CIFAR-10.
    """
    if not HAS_CIFAR10:
        raise NoDataError("section quality: TFDS_DATA_DIR names no folder with cifar10 prepared")
    found: dict[str, dict[str, Any]] = json.loads(POINTS.read_text()) if POINTS.exists() else {}
    measured = []
    with _data() as folder:
        for contestant in _contestants(torch_python, presets, minutes, folder):
            name, config, _ = contestant
            wanted = {"minutes": minutes, "recipe": config.to_dict(), "is_complete": True}
            if not wanted.items() <= found.get(name, {}).items():
                found[name] = {**wanted, "units": _units(config), "points": [], "is_complete": False}
                _measure(contestant, found)
            measured.append(_row(found[name], name, config))
            curves = [Curve(_label(name), one["units"], one["points"]) for name, one in found.items() if one["points"]]
            _replace(FIGURE, figure(curves, TARGETS))
    return measured


def minutes_to(target: float, points: Sequence[Sequence[float]]) -> float | None:
    """Returns when a straight line between two points first crosses `target`, in minutes; None if none does.

    Args:
      points: seconds and figures in their order.
    """
    for (start, before), (end, after) in itertools.pairwise(points):
        if min(before, after) <= target <= max(before, after):
            return (start + (end - start) * (target - before) / ((after - before) or 1.0)) / 60.0
    return None


def recipe_of(text: str) -> TrainConfig:
    """Returns the recipe that `text` names: a preset, and settings that replace its own, as in resnet:epochs=3:seed=1.

    Raises:
      SettingError: there is no such preset, or a setting is invalid.
    """
    preset, *changes = text.split(":")
    given = dict(change.split("=", 1) for change in changes)
    return recipe(preset, {name: _value(value) for name, value in given.items()})


def without_repeats() -> list[str]:
    """Returns the presets of which none differs from one before it in its epochs alone, which a budget replaces."""
    first: dict[TrainConfig, str] = {}
    for name, config in PRESETS.items():
        first.setdefault(dataclasses.replace(config, epochs=1), name)
    return list(first.values())


def _label(name: str) -> str:
    """Returns a contestant's name for the figure, which has no room for the names of settings."""
    preset, *changes = name.split(":")
    return ", ".join([preset, *(change.partition("=")[2] for change in changes)])


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _contestants(torch_python: str, presets: Sequence[str], minutes: float, folder: str) -> Iterator[Contestant]:
    for name in presets:
        config = recipe_of(name)
        options = [str(minutes), folder, json.dumps(config.to_dict())]
        yield Contestant(name, config, [sys.executable, "-m", "tests.bench.quality_ours", *options])
    if missing := lacks_packages(torch_python):
        print(missing)
        return
    for name in TORCH:
        options = [str(minutes), folder, json.dumps({**PRESETS["mlp"].to_dict(), "beta": BETA}), name]
        yield Contestant(name, PRESETS["mlp"], [torch_python, "-m", "tests.bench.quality_torch", *options])


def _measure(contestant: Contestant, found: dict[str, dict[str, Any]]) -> None:
    """Trains, and writes all that was found after each point; says so if the training fails."""
    name, config, command = contestant
    likelihood = LIKELIHOODS[config.likelihood]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            seconds, nats = json.loads(line)
            figure_of = bits_per_dim(likelihood, nats, SHAPE.size) if likelihood.IS_PROBABILITY else nats
            found[name]["points"].append([seconds, figure_of])
            print(f"{name:<16}{seconds / 60.0:8.2f} minutes {figure_of:12.4f} {_units(config)}", flush=True)
            _replace(POINTS, json.dumps(found, indent=1))
    if child.returncode:
        print(f"{name}: its training ended with exit code {child.returncode}")
    found[name]["is_complete"] = child.returncode == 0
    _replace(POINTS, json.dumps(found, indent=1))


def _row(measured: dict[str, Any], name: str, config: TrainConfig) -> Row:
    """Builds the row: minutes to the target, and the last figure with its minutes."""
    points, units = measured["points"], measured["units"]
    reached = minutes_to(TARGETS[units], points)
    more = {} if reached is None else {f"minutes_to_{TARGETS[units]:g}": reached}
    if points:
        more |= {units: points[-1][1], "minutes": points[-1][0] / 60.0}
    return Row(name, config.batch_size, more=more)


def _units(config: TrainConfig) -> str:
    return "bits/dim" if LIKELIHOODS[config.likelihood].IS_PROBABILITY else "nats"


@contextlib.contextmanager
def _data() -> Iterator[str]:
    """Yields a folder with the pixels of both splits as arrays, which need no framework."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for split, file in records(FULL)._asdict().items():
            np.save(os.path.join(folder, f"{split}.npy"), load_images([file], preprocessing(SHAPE), SHAPE).pixels)
        yield folder


def _replace(path: pathlib.Path, text: str) -> None:
    """Writes a file that is whole whenever the process ends."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)
