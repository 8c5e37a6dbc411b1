"""A worker of `tests.bench.scaling`: `python -m tests.bench.scaling_worker FOLDER PRESET IMAGES`.

The first worker writes the images per second of each round to a line of FOLDER/rates: its own rate while the others
wait, and then the rate of all workers together.
"""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator

import tensorflow as tf

from tests.bench import ours
from tests.bench.data import random_images
from trainer.presets import PRESETS
from trainer.strategy import build_strategy, check_workers_share, is_chief
from trainer.workers.launch import follow_parent

STEPS, ROUNDS, IMAGES = 8, 9, 10_000


def main(folder: str, preset: str, size: int) -> None:
    """Trains on the core with this worker's number."""
    follow_parent()
    place = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[place]})
    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = build_strategy("multi_worker")
    check_workers_share(strategy)
    config, images = PRESETS[preset], random_images(IMAGES)
    share = dataclasses.replace(config, batch_size=size)
    whole = dataclasses.replace(config, batch_size=size * strategy.num_replicas_in_sync)
    alone = ours.train(share, images, tf.distribute.get_strategy(), STEPS) if is_chief(strategy) else None
    together = ours.train(whole, images, strategy, STEPS)
    lines = []
    for _ in range(1 + ROUNDS):  # the first round compiles
        one = _rate(alone) if alone else None
        lines.append(f"{one} {_rate(together)}\n")
    if is_chief(strategy):
        with open(os.path.join(folder, "rates"), "w") as file:
            file.writelines(lines[1:])


def _rate(work: Iterator[int]) -> float:
    start = time.perf_counter()
    images = next(work)
    return images / (time.perf_counter() - start)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
