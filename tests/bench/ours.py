"""Trains as `trainer` does; the only module of the benchmark that knows how."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.images import ImageSet, shuffled_batches
from trainer.model.build import build
from trainer.model.latent_model import LatentModel
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.strategy import read_ahead
from trainer.training.loop import steps_per_call
from trainer.training.optimizer import Adam, build_optimizer
from trainer.training.step import TrainStep


class Training(NamedTuple):
    """A model that can be trained."""

    model: LatentModel
    optimizer: Adam
    step: TrainStep


def prepare(
    config: TrainConfig, shape: Shape, steps_per_epoch: int, strategy: tf.distribute.Strategy | None = None
) -> Training:
    """Builds the model of `config`, its optimizer and its training step."""
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model = build(config, shape)
        optimizer = build_optimizer(config, model.trainable_variables, steps_per_epoch)
    return Training(model, optimizer, TrainStep(strategy, config, model, optimizer, steps_per_epoch))


def train(
    config: TrainConfig, images: ImageSet, strategy: tf.distribute.Strategy | None = None, steps: int | None = None
) -> Iterator[int]:
    """Trains without end on batches made as in training; yields the number of images of each call."""
    strategy = strategy or tf.distribute.get_strategy()
    steps = steps or steps_per_call(config.batch_size, images.shape)
    steps_per_epoch = len(images) // config.batch_size
    step, done = prepare(config, images.shape, steps_per_epoch, strategy).step, 0
    for epoch in itertools.count(1):
        rows = shuffled_batches(np.arange(len(images)), config.batch_size, config.seed, epoch)
        for start in range(0, steps_per_epoch - steps + 1, steps):
            read_ahead(strategy, images.pixels, rows[start + steps : start + 2 * steps])
            step(images.pixels, rows[start : start + steps], done)
            done += steps
            yield steps * config.batch_size
