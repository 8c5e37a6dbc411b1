"""Training as `trainer` does it, a step at a time: the one place of the benchmark that knows how."""

import itertools
from collections.abc import Iterator

import tensorflow as tf

from trainer.config import TrainConfig
from trainer.images import IMAGE_SIZE, ImageSet, shuffled_batches
from trainer.loop import _make_step
from trainer.losses import build_loss
from trainer.optimizer import build_optimizer
from trainer.vae import build


def train(config: TrainConfig, images: ImageSet) -> Iterator[int]:
    """Trains for as long as it is asked to, batches made as in training; yields the number of images of each call."""
    steps = len(images) // config.batch_size
    model, optimizer = build(config, IMAGE_SIZE), build_optimizer(config, steps)
    optimizer.build(model.trainable_variables)
    step = _make_step(config, model, optimizer, build_loss(config, steps))
    number = itertools.count()
    for epoch in itertools.count(1):
        for pixels in shuffled_batches(images, config.batch_size, config.seed, epoch):
            step(pixels, tf.constant(next(number)))
            yield config.batch_size
