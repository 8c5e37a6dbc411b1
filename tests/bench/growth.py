"""Time and memory of a training against its number of images: only the cache may grow."""

import functools
import os
import tempfile

from tests.bench.data import FULL, records
from tests.bench.process import Finished, run_module
from tests.bench.rows import Row

SIZES = (FULL // 10, FULL)
CACHE_BYTES = 3072 + 8  # per image: its pixels and its noise seed


def rows() -> list[Row]:
    """Measures a row for each number of images, and the memory that each image adds."""
    runs = [trained(size) for size in SIZES]
    growth = (runs[1].peak_mb - runs[0].peak_mb) * 2**20 / (SIZES[1] - SIZES[0])
    return [
        *(
            Row(f"load and train one epoch, {size:,} images", more={"seconds": run.seconds, "peak_mb": run.peak_mb})
            for size, run in zip(SIZES, runs, strict=True)
        ),
        Row("memory of an image", more={"bytes": growth, "cache_bytes": CACHE_BYTES}),
    ]


@functools.cache
def trained(images: int) -> Finished:
    """Trains one epoch of the preset `mlp` with `python -m trainer`, from files to a saved model."""
    files = records(images)
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "output")
        return run_module(
            *("trainer", "--train", files.train, "--test", files.test, "--output", output, "--epochs", "1")
        )
