"""Measures the work beside the training step: input and evaluation."""

import itertools
import statistics
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tests.bench import ours
from tests.bench.data import FULL, SHAPE, records
from tests.bench.rounds import Contestant, interleave, measurer, ratio
from tests.bench.rows import Row
from trainer.evaluate import Evaluator
from trainer.images import ImageSet, load_images, preprocessing, shuffled_batches
from trainer.model.build import build
from trainer.presets import PRESETS
from trainer.strategy import shard
from trainer.training.loop import steps_per_call

CONFIG = PRESETS["mlp"]
ROUNDS = 3
EVALUATED = 2000  # images per turn


def rows() -> list[Row]:
    """Measures the input of the first and of later epochs, evaluation, and the training step of `mlp`."""
    files = list(records(FULL))
    start = time.perf_counter()
    images = load_images(files, preprocessing(SHAPE), SHAPE)
    seconds = time.perf_counter() - start
    work = {
        "training, input and step": ours.train(CONFIG, images),
        "input alone, later epochs": _batches(images),
        "evaluation, K = 1": _evaluations(images, 1),
        "evaluation, K = 4": _evaluations(images, 4),
    }
    contestants = [Contestant(name, CONFIG.batch_size, measurer(turns)) for name, turns in work.items()]
    rates = dict(zip(work, interleave(contestants, ROUNDS), strict=True))
    share = ratio(rates["training, input and step"], rates["input alone, later epochs"])
    return [
        Row("input, first epoch: PNG to bytes", None, FULL / seconds, more={"seconds": seconds}),
        *(Row(name, CONFIG.batch_size, statistics.median(measured)) for name, measured in rates.items()),
        Row("input, share of training", more={"percent": 100.0 * share}),
    ]


def _batches(images: ImageSet) -> Iterator[int]:
    strategy, at_once = tf.distribute.get_strategy(), steps_per_call(CONFIG.batch_size, images.shape)
    for epoch in itertools.count(1):
        rows = shuffled_batches(np.arange(len(images)), CONFIG.batch_size, CONFIG.seed, epoch)
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            shard(strategy, images.pixels, some)
            yield some.size


def _evaluations(images: ImageSet, samples: int) -> Iterator[int]:
    evaluate = Evaluator(build(CONFIG, images.shape), samples)
    some = ImageSet(*(part[:EVALUATED] for part in images))
    while True:
        evaluate(some)
        yield EVALUATED
