"""An epoch with convolutions in bfloat16 and the same in float32, in turns: how fast it is, and how good the model."""

import dataclasses
import statistics
import time
from unittest import mock

import numpy as np
import tensorflow as tf

import trainer.training.step
from tests.bench import ours
from tests.bench.data import FULL, SHAPE, records
from tests.bench.rounds import ratio
from tests.bench.rows import Row
from trainer.evaluate import Evaluator
from trainer.images import ImageSet, load_images, preprocessing, shuffled_batches
from trainer.model.precision import multiplies_bfloat16
from trainer.presets import PRESETS
from trainer.training.loop import steps_per_call

NAMES = ("resnet", "logistic", "ladder_small")
DTYPES = (tf.float32, tf.bfloat16)


def rows() -> list[Row]:
    """Measures two rows for each preset with convolutions; none on a processor without bfloat16."""
    if not multiplies_bfloat16():
        print("section precision is left out: this processor has no instructions for bfloat16, or they are turned off")
        return []
    train, test = (load_images([path], preprocessing(SHAPE), SHAPE) for path in records(FULL))
    return [row for name in NAMES for row in _rows(name, train, test)]


def _rows(name: str, train: ImageSet, test: ImageSet) -> list[Row]:
    config = dataclasses.replace(PRESETS[name], epochs=1)
    batches = shuffled_batches(np.arange(len(train)), config.batch_size, config.seed, 1)
    trainings, rates = [], [list[float]() for _ in DTYPES]
    for dtype in DTYPES:
        with mock.patch.object(trainer.training.step, "multiplies_bfloat16", return_value=dtype == tf.bfloat16):
            trainings.append(ours.prepare(config, SHAPE, len(batches)))
    at_once = steps_per_call(config.batch_size, SHAPE)
    for first in range(0, len(batches), at_once):
        some = batches[first : first + at_once]
        for training, measured in zip(trainings, rates, strict=True):
            start = time.process_time()  # other processes add little to it
            training.step(train.pixels, some, first)
            measured.append(some.size / (time.process_time() - start))
    found = []
    for dtype, (model, optimizer, _), measured in zip(DTYPES, trainings, rates, strict=True):
        speed, base = measured[1:], rates[0][1:]  # the first call is traced
        with optimizer.averaged():
            elbo = Evaluator(model, samples=1)(test).elbo
        more = {"images_per_cpu_second": statistics.median(speed), "to_float32": ratio(speed, base), "elbo": elbo}
        found.append(Row(f"{name}, {dtype.name}", config.batch_size, more=more))
    return found
