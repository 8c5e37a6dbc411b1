"""The training loop."""

import dataclasses
import json
import logging
import math
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.config import TrainConfig
from trainer.errors import UserError
from trainer.evaluate import Evaluator, MeanELBO
from trainer.images import IMAGE_SIZE, ImageSet, hold_out, shuffled_batches, to_unit_interval
from trainer.objective import single_sample_elbo
from trainer.vae import VAE, build

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 30.0

# (pixels [B, D] uint8, number of the step) -> loss, nats per image
Step = Callable[[np.ndarray, tf.Tensor], tf.Tensor]


class Epoch(NamedTuple):
    """What is known after an epoch; ELBOs in nats per image."""

    epoch: int  # from 1
    train_elbo: float  # mean over the epoch's batches, while the weights were changing
    held_out: MeanELBO  # chooses the epoch that is exported
    test: MeanELBO  # reported, never used
    images_per_second: float  # of training, evaluation excluded
    seconds: float  # of training, evaluation excluded


class TrainResult(NamedTuple):
    """A trained model and how it came to be."""

    model: VAE  # with the weights of the epoch whose held-out ELBO was best
    epochs: list[Epoch]
    best_epoch: int
    test: MeanELBO  # of `model`, with config.eval_samples draws per image


def train_and_evaluate(config: TrainConfig, train: ImageSet, test: ImageSet, workdir: str) -> TrainResult:
    """Trains on `train`, logs every epoch, and returns the best one by a held-out part of `train`.

    Writes TensorBoard scalars to `workdir` and, at the end, `history.json`.

    Raises:
      UserError: fewer images than a batch, or a loss that is no longer finite.
    """
    model = build(config, IMAGE_SIZE)
    train, held_out = hold_out(train, config.held_out_fraction, config.seed)
    steps = len(train) // config.batch_size
    if not steps:
        raise UserError(
            f"batch_size: expected at most the {len(train)} images there are to train on, got {config.batch_size}"
        )
    optimizer = tf.keras.optimizers.Adam(_learning_rate(config, steps * config.epochs))
    optimizer.build(model.trainable_variables)
    step = _make_step(config, model, optimizer)
    evaluate = Evaluator(model, samples=1)
    writer = tf.summary.create_file_writer(workdir)
    log.info(
        "training on %s images, %s held out, %s test; batch %d, %d steps an epoch, %s parameters",
        *(f"{len(images):,}" for images in (train, held_out, test)),
        config.batch_size,
        steps,
        f"{sum(math.prod(v.shape) for v in model.trainable_variables):,}",
    )

    epochs: list[Epoch] = []
    best, best_weights = None, []
    for number in range(1, config.epochs + 1):
        train_elbo, seconds = _train_epoch(config, step, train, number)
        images_per_second = steps * config.batch_size / seconds
        epoch = Epoch(number, train_elbo, evaluate(held_out), evaluate(test), images_per_second, seconds)
        _check_finite(epoch, config.learning_rate)
        _report(epoch, config.epochs, writer)
        if best is None or epoch.held_out.elbo > best.held_out.elbo:
            best, best_weights = epoch, [tf.identity(v) for v in model.variables]
        epochs.append(epoch)

    assert best is not None  # there is at least one epoch
    for variable, value in zip(model.variables, best_weights, strict=True):
        variable.assign(value)
    result = TrainResult(model, epochs, best.epoch, Evaluator(model, config.eval_samples)(test))
    log.info(
        "epoch %d has the best held-out ELBO; its test-set ELBO with %d samples per image: %.2f nats per image",
        best.epoch,
        config.eval_samples,
        result.test.elbo,
    )
    _write_history(config, result, workdir)
    return result


def _train_epoch(config: TrainConfig, step: Step, images: ImageSet, number: int) -> tuple[float, float]:
    """One pass over `images`; returns the mean ELBO on the way, nats per image, and the seconds it took."""
    steps = len(images) // config.batch_size
    total, start = tf.zeros([]), time.monotonic()
    shown = start
    for i, pixels in enumerate(shuffled_batches(images, config.batch_size, config.seed, number)):
        total += step(pixels, tf.constant((number - 1) * steps + i))
        if time.monotonic() - shown > PROGRESS_SECONDS:
            shown = time.monotonic()
            log.info("epoch %d/%d  step %d of %d", number, config.epochs, i + 1, steps)
    return -float(total) / steps, time.monotonic() - start


def _learning_rate(config: TrainConfig, steps: int) -> float | tf.keras.optimizers.schedules.LearningRateSchedule:
    if config.schedule == "cosine":
        return tf.keras.optimizers.schedules.CosineDecay(config.learning_rate, decay_steps=steps)
    return config.learning_rate


def _make_step(config: TrainConfig, model: VAE, optimizer: tf.keras.optimizers.Optimizer) -> Step:
    """One optimiser step as a compiled function.

    XLA fuses the many passes that Adam makes over the weights.
    """

    @tf.function(jit_compile=True)
    def step(pixels: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        eps = tf.random.stateless_normal([config.batch_size, config.latent_size], [config.seed, number])
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(single_sample_elbo(model, to_unit_interval(pixels), eps).elbo)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return step


def _check_finite(epoch: Epoch, learning_rate: float) -> None:
    if not (math.isfinite(epoch.train_elbo) and math.isfinite(epoch.held_out.elbo)):
        raise UserError(
            f"after epoch {epoch.epoch} the ELBO is {epoch.train_elbo} in training and {epoch.held_out.elbo} on "
            f"held-out images, expected finite numbers: lower the learning rate (it was {learning_rate:g}) and run "
            "again; no model was written"
        )


def _report(epoch: Epoch, epochs: int, writer: tf.summary.SummaryWriter) -> None:
    log.info(
        "epoch %d/%d  test ELBO %.2f = reconstruction %.2f - KL %.2f  held-out %.2f  %.0f images/s  %.1f s",
        epoch.epoch,
        epochs,
        *epoch.test,
        epoch.held_out.elbo,
        epoch.images_per_second,
        epoch.seconds,
    )
    with writer.as_default(step=epoch.epoch):
        tf.summary.scalar("train/elbo", epoch.train_elbo)
        for name, mean in (("held_out", epoch.held_out), ("test", epoch.test)):
            for part, value in mean._asdict().items():
                tf.summary.scalar(f"{name}/{part}", value)
        tf.summary.scalar("images_per_second", epoch.images_per_second)
        tf.summary.scalar("seconds", epoch.seconds)
    writer.flush()


def _write_history(config: TrainConfig, result: TrainResult, workdir: str) -> None:
    history = {
        "config": dataclasses.asdict(config),
        "best_epoch": result.best_epoch,
        "test": result.test._asdict(),
        "epochs": [{**e._asdict(), "held_out": e.held_out._asdict(), "test": e.test._asdict()} for e in result.epochs],
    }
    with tf.io.gfile.GFile(os.path.join(workdir, "history.json"), "w") as file:
        file.write(json.dumps(history, indent=1))
