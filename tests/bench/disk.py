"""Training from images on disk beside the same training from memory.

As a program, `disk IN_MEMORY FILES...`, it trains some steps on all images of the files, and prints its measurements.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tests.bench import ours
from tests.bench.data import SHAPE, random_images
from tests.bench.process import run_module
from tests.bench.rounds import Contestant, interleave, measurer, ratio
from tests.bench.rows import Row
from trainer.images import ImageSet, load_images, pixel_model, preprocessing
from trainer.presets import PRESETS
from trainer.settings import Execution
from trainer.storage.rows import TemporaryArray

CONFIG = PRESETS["default"]
ROUNDS = 5
IMAGES = 300_000  # too many for the rounds to read an image twice
STEPS = 200  # of the program
PLACES = {"memory": Execution.images_in_memory * 1024, "disk": 0}  # MiB


def rows() -> list[Row]:
    """Measures training and its input from memory, from a disk whose cache holds all images, and from one without."""
    memory, cached, cold = random_images(IMAGES // 10), *(on_disk(count) for count in (IMAGES // 10, IMAGES))
    trained = _measured({name: ours.train(CONFIG, images) for name, images in _named(memory, cached, cold)}, cold)
    read = _measured({name: _inputs(images) for name, images in _named(memory, cached, cold)}, cold)
    return [
        *_rows("training", trained),
        *_rows("input alone, nothing read ahead", read),
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
    """Returns images of random bytes in a temporary file; only as many differ as are written at once."""
    some = random_images(10_000).pixels[:]
    pixels = TemporaryArray((count, *SHAPE), "the images of the benchmark", "Free some space")
    for start in range(0, count, len(some)):
        at = np.arange(start, min(start + len(some), count))
        pixels[at] = some[: len(at)]
    os.fsync(pixels._file.fileno())  # only pages that are written can be dropped
    return ImageSet(pixels, np.arange(count))


def _named(*images: ImageSet) -> list[tuple[str, ImageSet]]:
    return list(zip(("memory", "disk, cached", "disk, not cached"), images, strict=True))


def _measured(work: dict[str, Iterator[int]], cold: ImageSet) -> dict[str, list[float]]:
    """Returns the images per second of each round, before which the system forgets the cold images."""

    def forget() -> None:
        os.posix_fadvise(cold.pixels._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    contestants = [Contestant(name, CONFIG.batch_size, measurer(turns)) for name, turns in work.items()]
    return dict(zip(work, interleave(contestants, ROUNDS, forget), strict=True))


def _rows(what: str, rates: dict[str, list[float]]) -> list[Row]:
    return [
        Row(
            f"{what}: {name}",
            CONFIG.batch_size,
            statistics.median(measured),
            more={"to_memory": ratio(measured, rates["memory"])},
        )
        for name, measured in rates.items()
    ]


def _inputs(images: ImageSet) -> Iterator[int]:
    rng, count = np.random.default_rng(0), 16 * CONFIG.batch_size
    while True:
        tf.constant(images.pixels[rng.integers(0, len(images), count)])
        yield count


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
