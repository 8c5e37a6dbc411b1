"""Trains for a while, so that a profiler can watch it: `python -m tests.bench.profile_child RECIPE BATCH_SIZE SECONDS`.

It prints READY once everything is compiled, and at the end the images that it trained on per second.
"""

import dataclasses
import sys
import time

from tests.bench import ours
from tests.bench.data import random_images
from tests.bench.quality import recipe_of

READY = "ready"
IMAGES = 10_000
WARM_UP = 3  # calls


def main(name: str, batch_size: str, seconds: str) -> None:
    """Trains."""
    config = dataclasses.replace(recipe_of(name), batch_size=int(batch_size))
    training = ours.train(config, random_images(IMAGES))
    for _ in range(WARM_UP):
        next(training)
    print(READY, flush=True)
    start, images = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < float(seconds):
        images += next(training)
    print(images / passed)


if __name__ == "__main__":
    main(*sys.argv[1:])
