"""The training loop."""

import dataclasses
import json
import logging
import math
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from trainer.config import TrainConfig
from trainer.errors import UserError
from trainer.evaluate import Evaluator, MeanELBO, Quality, quality
from trainer.images import IMAGE_SIZE, ImageSet, hold_out, random_flips, shuffled_batches, to_unit_interval
from trainer.likelihoods import bits_per_dim
from trainer.losses import Loss, build_loss
from trainer.objective import draw
from trainer.optimizer import averaged_weights, build_optimizer
from trainer.vae import VAE, build
from trainer.warm_start import load_weights

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 30.0

# (pixels [B, D] uint8, number of the step) -> mean ELBO of the batch before the step, nats per image
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

    model: VAE  # with the weights of the epoch whose held-out ELBO was best, averaged if config.ema_decay
    epochs: list[Epoch]
    best_epoch: int
    test: MeanELBO  # of `model`, with config.eval_samples draws per image
    quality: Quality | None  # on the test set, if config.importance_samples


def train_and_evaluate(
    config: TrainConfig, train: ImageSet, test: ImageSet, workdir: str, base_model: str | None = None
) -> TrainResult:
    """Trains on `train`, logs every epoch, and returns the best one by a held-out part of `train`.

    The weights begin at those of the SavedModel at the path `base_model`, or at random.
    Writes TensorBoard scalars to `workdir` and, at the end, `history.json`.

    Raises:
      UserError: a `base_model` that does not fit, fewer images than a batch, or a loss that is no longer finite.
    """
    model = build(config, IMAGE_SIZE)
    if base_model:
        load_weights(model, base_model)
    train, held_out = hold_out(train, config.held_out_fraction, config.seed)
    if len(train) < config.batch_size:
        raise UserError(
            f"batch_size: expected at most the {len(train)} images there are to train on, got {config.batch_size}"
        )
    log.info(
        "training on %s images, %s held out, %s test; batch %d, %d steps an epoch, %s parameters",
        *(f"{len(images):,}" for images in (train, held_out, test)),
        config.batch_size,
        len(train) // config.batch_size,
        f"{sum(math.prod(v.shape) for v in model.trainable_variables):,}",
    )
    epochs, best_epoch = _train(config, model, train, held_out, test, workdir)
    result = _look_at(model, config, epochs, best_epoch, test)
    _write_history(config, result, workdir)
    return result


def _train(
    config: TrainConfig, model: VAE, train: ImageSet, held_out: ImageSet, test: ImageSet, workdir: str
) -> tuple[list[Epoch], int]:
    """Trains for every epoch, and leaves `model` with the weights of the one that is best on `held_out`."""
    steps = len(train) // config.batch_size
    optimizer = build_optimizer(config, steps)
    optimizer.build(model.trainable_variables)
    step = _make_step(config, model, optimizer, build_loss(config, steps))
    evaluate = Evaluator(model, samples=1)
    writer = tf.summary.create_file_writer(workdir)
    epochs: list[Epoch] = []
    best, best_weights = None, []
    for number in range(1, config.epochs + 1):
        train_elbo, seconds = _train_epoch(config, step, train, number)
        images_per_second = steps * config.batch_size / seconds
        with averaged_weights(optimizer, model.trainable_variables):
            epoch = Epoch(number, train_elbo, evaluate(held_out), evaluate(test), images_per_second, seconds)
            _check_finite(epoch, config.learning_rate)
            _report(epoch, config.epochs, writer)
            if best is None or epoch.held_out.elbo > best.held_out.elbo:
                best, best_weights = epoch, [tf.identity(v) for v in model.variables]
        epochs.append(epoch)
    assert best is not None  # there is at least one epoch
    for variable, value in zip(model.variables, best_weights, strict=True):
        variable.assign(value)
    return epochs, best.epoch


def _look_at(model: VAE, config: TrainConfig, epochs: list[Epoch], best_epoch: int, test: ImageSet) -> TrainResult:
    """Evaluates the trained model as the gate will, and more closely if the configuration asks for it."""
    mean = Evaluator(model, config.eval_samples)(test)
    likelihood = model.likelihood
    bits = f", {bits_per_dim(likelihood, mean.elbo, IMAGE_SIZE):.3f} bits/dim" if likelihood.IS_PROBABILITY else ""
    log.info(
        "epoch %d has the best held-out ELBO; its test-set ELBO with %d samples per image: %.2f nats per image%s",
        best_epoch,
        config.eval_samples,
        mean.elbo,
        bits,
    )
    if not config.importance_samples:
        return TrainResult(model, epochs, best_epoch, mean, quality=None)
    log.info("drawing %d samples of each test image for the importance-weighted bound", config.importance_samples)
    looked = quality(model, test, config.importance_samples)
    log.info(
        "test set: KL %.2f, importance-weighted bound %.2f with %d samples, %d of %d latents active",
        mean.kl,
        looked.importance_weighted_bound,
        config.importance_samples,
        looked.active_latents,
        model.latent_size,
    )
    return TrainResult(model, epochs, best_epoch, mean, looked)


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
    return float(total) / steps, time.monotonic() - start


def _make_step(config: TrainConfig, model: VAE, optimizer: keras.optimizers.Optimizer, loss_of: Loss) -> Step:
    """One optimiser step as a compiled function.

    XLA fuses the many passes that Adam makes over the weights.
    """
    noise_shape = [config.train_samples, config.batch_size, config.latent_size]

    @tf.function(jit_compile=True)
    def step(pixels: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        x = to_unit_interval(pixels)
        if config.horizontal_flips:
            x = random_flips(x, [config.seed, -1 - number])  # steps count from 0: not a seed of z
        eps = tf.random.stateless_normal(noise_shape, [config.seed, number])
        with tf.GradientTape() as tape:
            drawn = draw(model, x, eps)
            loss = loss_of(drawn, number)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return tf.reduce_mean(drawn.elbo().elbo)

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
        "quality": result.quality and result.quality._asdict(),
        "epochs": [{**e._asdict(), "held_out": e.held_out._asdict(), "test": e.test._asdict()} for e in result.epochs],
    }
    with tf.io.gfile.GFile(os.path.join(workdir, "history.json"), "w") as file:
        file.write(json.dumps(history, indent=1))
