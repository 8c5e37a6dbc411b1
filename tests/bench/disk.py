"""Training from images on disk beside the same training from memory.

As a program, `disk IN_MEMORY FILES...`, it trains some steps on all images of the files, and prints its measurements.
"""

import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tests.bench import ours, rounds
from tests.bench.data import SHAPE, random_images
from tests.bench.process import run_module
from tests.bench.rows import Row
from trainer.images import ImageSet, Pixels, load_images, pixel_model, preprocessing, will_need
from trainer.presets import PRESETS
from trainer.settings import Execution
from trainer.storage.rows import Rows, TemporaryArray

CONFIG = PRESETS["mlp"]
ROUNDS = 9
IMAGES = 300_000  # too many for the rounds to read an image twice
STEPS = 200  # of the program
PLACES = {"memory": Execution.images_in_memory * 1024, "disk": 0}  # MiB


class Timed:
    """Pixels that add up the time in which they are announced and read."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels, self.seconds = pixels, 0.0
        self.shape = pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Rows) -> np.ndarray:
        with self._clock():
            return self.pixels[rows]

    def will_need(self, rows: np.ndarray) -> None:
        """Announces rows."""
        with self._clock():
            will_need(self.pixels, rows)

    @contextlib.contextmanager
    def _clock(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start


def rows() -> list[Row]:
    """Measures training from memory, from a disk whose cache holds all images, and from one whose cache is empty."""
    few = IMAGES // 10
    sets = {"memory": random_images(few), "disk, cached": on_disk(few), "disk, not cached": on_disk(IMAGES)}
    for _ in sets["disk, cached"].chunks():
        pass  # reads them
    timed = {name: ImageSet(Timed(images.pixels), images.noise_seeds) for name, images in sets.items()}

    def measurer(name: str) -> Callable[[], float]:
        images, measure = timed[name], rounds.measurer(ours.train(CONFIG, timed[name]))

        def measured() -> float:
            images.pixels.seconds, start, cpu = 0.0, time.perf_counter(), time.process_time()
            rate = measure()
            seconds = time.perf_counter() - start
            shares[name].append(images.pixels.seconds / seconds)
            work[name].append((time.process_time() - cpu) / (rate * seconds))
            return rate

        return measured

    shares: dict[str, list[float]] = {name: [] for name in sets}
    work: dict[str, list[float]] = {name: [] for name in sets}  # CPU seconds of an image
    contestants = [rounds.Contestant(name, CONFIG.batch_size, measurer(name)) for name in sets]
    rates = dict(zip(sets, rounds.interleave(contestants, ROUNDS), strict=True))
    return [
        Row(
            f"training from {name}",
            CONFIG.batch_size,
            statistics.median(rates[name]),
            more={
                "to_memory": rounds.ratio(rates[name], rates["memory"]),
                "cpu_to_memory": rounds.ratio(work[name], work["memory"]),
                "reading_percent": 100.0 * statistics.median(shares[name]),
            },
        )
        for name in sets
    ]


def scale_rows(files: Sequence[str], images: int) -> list[Row]:
    """Measures time and memory of loading the Examples in `files` and of some steps, in memory and from disk."""
    found = []
    for place, in_memory in PLACES.items():
        run = run_module(__name__, str(in_memory), *files)
        measured = json.loads(run.lines[-1][1])
        more = {"seconds": run.seconds, "load_seconds": measured["load_seconds"], "peak_mb": run.peak_mb}
        found.append(
            Row(f"trainer from {place}, {images:,} images", CONFIG.batch_size, measured["images_per_second"], more=more)
        )
    return found


def on_disk(count: int) -> ImageSet:
    """Returns images of random bytes on disk, which the system has forgotten; only the first 10,000 differ."""
    some = random_images(10_000).pixels[:]
    pixels = TemporaryArray((count, *SHAPE), "the images of the benchmark", "Free some space")
    for start in range(0, count, len(some)):
        at = np.arange(start, min(start + len(some), count))
        pixels[at] = some[: len(at)]
    descriptor = pixels._file.fileno()
    os.fsync(descriptor)  # only what is written can be forgotten
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return ImageSet(pixels, np.arange(count))


def main(in_memory: int, files: list[str]) -> None:
    """Does what a training does before its first step, then takes some steps."""
    start = time.perf_counter()
    images = load_images(files, preprocessing(SHAPE), SHAPE, in_memory)
    images.digest()
    pixel_model(images)
    loaded = time.perf_counter() - start
    train, done = ours.train(CONFIG, images), 0
    next(train)  # compiles
    start = time.perf_counter()
    while done < STEPS * CONFIG.batch_size:
        done += next(train)
    rate = done / (time.perf_counter() - start)
    print(json.dumps({"load_seconds": loaded, "images_per_second": rate}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
