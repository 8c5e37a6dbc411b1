"""What the checkpoints of each preset cost, and the share of the time that they take by default."""

import contextlib
import functools
import itertools
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple
from unittest import mock

from tests.bench.data import FULL, SHAPE, random_images, records
from tests.bench.rows import Row
from trainer.images import ImageSet, load_images, preprocessing
from trainer.presets import PRESETS
from trainer.settings import TrainConfig
from trainer.training import loop
from trainer.training.pace import Pace

SAVES, SECONDS = 4, 30.0  # of a training, at least, unless it ends before
EMBEDDED = (6000, 1000)  # images of the embedded data, to train and to test; `smoke` is for them


class _Pause(NamedTuple):
    """The time that a checkpoint takes, in seconds."""

    start: float
    length: float


class _EnoughError(Exception):
    """The training has been measured."""


class _Measured(Pace):
    """Notes every pause, and ends the training when there are enough."""

    def __init__(self, pauses: list[_Pause], share: float, longest: float, clock: Callable[[], float]) -> None:
        super().__init__(share, longest, clock)
        self._pauses, self._began = pauses, time.monotonic()

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        start = time.monotonic()
        with super().pause():
            yield
        now = time.monotonic()
        self._pauses.append(_Pause(start, now - start))
        if len(self._pauses) >= SAVES and now - self._began >= SECONDS:
            raise _EnoughError


def rows() -> list[Row]:
    """A row for each preset."""
    full = [load_images([path], preprocessing(SHAPE), SHAPE) for path in records(FULL)]
    embedded = [random_images(count) for count in EMBEDDED]
    return [_row(name, preset, *(embedded if name == "smoke" else full)) for name, preset in PRESETS.items()]


def _row(name: str, preset: TrainConfig, train: ImageSet, test: ImageSet) -> Row:
    """The percentage is of the time from the first checkpoint to the last, evaluations included."""
    pauses: list[_Pause] = []
    with tempfile.TemporaryDirectory() as folder:
        measured = functools.partial(_Measured, pauses)
        with mock.patch.object(loop, "Pace", measured), contextlib.suppress(_EnoughError):
            loop.train_and_evaluate(preset, train, test, folder)
        newest = max(pathlib.Path(folder, "checkpoints").glob("step-?????????"))
        size = sum(path.stat().st_size for path in newest.rglob("*"))
    more = {
        "milliseconds": 1e3 * statistics.median(pause.length for pause in pauses),
        "mb": size / 1e6,
        "seconds_between": statistics.median(b.start - a.start for a, b in itertools.pairwise(pauses)),
        "percent": 100.0 * sum(pause.length for pause in pauses[:-1]) / (pauses[-1].start - pauses[0].start),
    }
    return Row(f"checkpoints, {name}", preset.batch_size, more=more)
