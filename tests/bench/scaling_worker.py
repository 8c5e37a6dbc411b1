"""A worker of `tests.bench.scaling`: `python -m tests.bench.scaling_worker FOLDER PRESET IMAGES STRATEGY`.

The first of them writes images per second of several rounds, a line each, to FOLDER/rates.
"""

import dataclasses
import json
import os
import sys
import time

import tensorflow as tf

from tests.bench import ours
from tests.bench.data import random_images
from trainer.launch import follow_parent
from trainer.presets import PRESETS
from trainer.strategy import build_strategy, check_workers_share, is_chief

STEPS, ROUNDS, IMAGES = 8, 7, 10_000


def main(folder: str, preset: str, size: int, name: str) -> None:
    """Trains, on the core whose number is that of this worker."""
    follow_parent()
    place = json.loads(os.environ["TF_CONFIG"]).get("task", {"index": 0})["index"]
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[place]})
    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = build_strategy(name)
    check_workers_share(strategy)  # or the rate would be of one that trains beside the other
    config = dataclasses.replace(PRESETS[preset], batch_size=size * strategy.num_replicas_in_sync)
    work = ours.train(config, random_images(IMAGES), strategy, STEPS)
    next(work)
    rates = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        images = next(work)
        rates.append(images / (time.perf_counter() - start))
    if is_chief(strategy):
        with open(os.path.join(folder, "rates"), "w") as file:
            file.writelines(f"{rate}\n" for rate in rates)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
