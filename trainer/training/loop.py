"""The training loop: one for every strategy, which can stop and go on."""

import logging
import math
import os
import signal
import time

import numpy as np
import tensorflow as tf

from trainer.errors import InterruptError, UserError
from trainer.evaluate import Evaluator, quality
from trainer.images import IMAGE_SIZE, ImageSet, hold_out, shuffled_batches
from trainer.interrupt import signals_noted
from trainer.model.likelihoods import bits_per_dim
from trainer.model.vae import VAE, build
from trainer.settings import Execution, TrainConfig
from trainer.strategy import check_agreement, is_chief, leave_together
from trainer.training.checkpoint import Checkpoints
from trainer.training.optimizer import build_optimizer
from trainer.training.record import Epoch, Progress, TrainResult, Writer, write_history
from trainer.training.step import TrainStep
from trainer.training.warm_start import load_weights, weights_identity

log = logging.getLogger(__name__)

# Between looks at the clock, at signals and at the numbers. A stop, which comes at the end of the next call, is soon.
STEPS_PER_CALL, IMAGES_PER_CALL = 16, 4096
PROGRESS_SECONDS = 30.0
EXPLODED = -100.0 * IMAGE_SIZE  # nats per image; an untrained model has some thousands


def train_and_evaluate(
    config: TrainConfig,
    train: ImageSet,
    test: ImageSet,
    workdir: str,
    base_model: str | None = None,
    strategy: tf.distribute.Strategy | None = None,
    checkpoints: str | None = None,
    checkpoint_minutes: float = Execution.checkpoint_minutes,
) -> TrainResult:
    """Trains on `train`, logs every epoch, and returns the best one by a held-out part of `train`.

    Starts from the weights of `base_model`, a SavedModel's folder, or from random ones.
    Writes TensorBoard scalars to `workdir` and, at the end, `history.json`. Goes on from the newest of `checkpoints`,
    a folder that is `workdir`/checkpoints unless it is given; whoever has the result may remove it.

    Raises:
      UserError: fewer images than a batch, a batch that does not divide over the replicas, an ELBO that is not
        finite or has exploded, a `base_model` whose weights do not fit, or checkpoints of another run.
      StorageError: a checkpoint cannot be written.
      InterruptError: SIGINT or SIGTERM came, here or to another worker; there is a checkpoint.
    """
    strategy = strategy or tf.distribute.get_strategy()
    checkpoints = checkpoints or os.path.join(workdir, "checkpoints")
    run = _Run(config, train, test, base_model, strategy, checkpoints, checkpoint_minutes * 60.0)
    with Writer(workdir, writes=is_chief(strategy)) as writer:
        epochs = run.train(writer)
    result = _look_at(run.model, config, epochs, test, strategy)
    if is_chief(strategy):
        write_history(config, result, workdir)
    return result


def steps_per_call(batch_size: int) -> int:
    """How many steps are taken at once; the same in all workers, as the batch is that of all."""
    return max(1, min(STEPS_PER_CALL, IMAGES_PER_CALL // batch_size))


class _Run:
    """A run under way: its model, its optimizer, its best weights and how far it has come."""

    def __init__(
        self,
        config: TrainConfig,
        train: ImageSet,
        test: ImageSet,
        base_model: str | None,
        strategy: tf.distribute.Strategy,
        checkpoints: str,
        save_seconds: float,
    ) -> None:
        self._rows, held_out = hold_out(len(train), config.held_out_fraction, config.seed)
        self._config, self._train, self._held_out, self._test = config, train, train.take(held_out), test
        self._strategy = strategy
        self._steps = len(self._rows) // config.batch_size  # of an epoch
        if not self._steps:
            raise UserError(
                f"batch_size: expected at most the {len(self._rows)} images there are to train on, "
                f"got {config.batch_size}"
            )
        with strategy.scope():
            self.model = build(config, IMAGE_SIZE)
            if base_model:
                load_weights(self.model, base_model)
            self._optimizer = build_optimizer(config, self.model.trainable_variables, self._steps)
            self._best = _Copy(self.model)
        self._step = TrainStep(strategy, config, self.model, self._optimizer, self._steps)
        self._evaluate = Evaluator(self.model, samples=1, strategy=strategy)
        images = {"training images": train.digest(), "test images": test.digest()}
        run = {**config.to_dict(), **images, "base model": base_model and weights_identity(base_model)}
        state = {"model": self.model, "optimizer": self._optimizer, "best": self._best}
        self._checkpoints = Checkpoints(checkpoints, run, is_chief(strategy), **state)
        restored = self._checkpoints.restore()
        self._progress = Progress.from_dict(restored) if restored else Progress()
        self._on_disk = self._progress if restored else None
        check_agreement(strategy, self._progress.steps, "steps in its newest checkpoint", checkpoints)
        self._save_seconds, self._saved = save_seconds, time.monotonic()

    def train(self, writer: Writer) -> tuple[Epoch, ...]:
        """Trains to the last epoch, and leaves the model with the weights of the one that is best on `held_out`."""
        self._introduce()
        writer.begin(self._progress.epochs)
        with signals_noted() as signals:
            while len(self._progress.epochs) < self._config.epochs and self._train_epoch(signals):
                epoch = self._end_epoch()
                writer.report(epoch, self._config.epochs)
            self._save()  # the last epoch's, or that of a stop
        stopped = len(self._progress.epochs) < self._config.epochs  # all workers, at the same step
        if stopped:
            leave_together(self._strategy)
        if stopped or signals:
            log.info("stopped after step %d; started again, it goes on from there", self._progress.steps)
            raise InterruptError(signals[0] if signals else signal.SIGTERM)
        self._best.restore()
        return self._progress.epochs

    def _train_epoch(self, signals: list[int]) -> bool:
        """What is left of an epoch; False if it was told to stop on the way."""
        config, number = self._config, len(self._progress.epochs) + 1
        at_once = steps_per_call(config.batch_size)
        rows = shuffled_batches(self._rows, config.batch_size, config.seed, number)
        began = shown = time.monotonic()
        for start in range(self._progress.steps - (number - 1) * self._steps, self._steps, at_once):
            first = self._progress.steps
            elbo, stop = self._step(self._train.pixels, rows[start : start + at_once], first, bool(signals))
            self._check(elbo, first)
            now = time.monotonic()
            self._progress = self._progress.after(elbo, now - began)
            if stop:
                return False
            if now - self._saved >= self._save_seconds:
                self._save()
            if now - shown > PROGRESS_SECONDS:
                shown = now
                log.info("epoch %d/%d  step %d of %d", number, config.epochs, start + len(elbo), self._steps)
            began = time.monotonic()
        return True

    def _end_epoch(self) -> Epoch:
        """Evaluates, and remembers the weights if they are the best so far."""
        progress = self._progress
        with self._optimizer.averaged():
            epoch = Epoch(
                epoch=len(progress.epochs) + 1,
                train_elbo=progress.elbo / self._steps,
                held_out=self._evaluate(self._held_out),
                test=self._evaluate(self._test),
                images_per_second=self._steps * self._config.batch_size / progress.seconds,
                seconds=progress.seconds,
            )
            if not _good(np.array([epoch.held_out.elbo])):
                self._come_apart(progress.steps - 1, _bad(epoch.held_out.elbo), progress.steps)
            self._progress = Progress(progress.steps, epochs=(*progress.epochs, epoch))
            if self._progress.best is epoch:
                self._best.take()
        return epoch

    def _save(self) -> None:
        steps = self._progress.steps
        if not all(np.all(np.isfinite(v.numpy())) for v in (*self.model.variables, *self._optimizer.variables)):
            self._come_apart(steps - 1, "a weight, or a moment of it in Adam, is not finite", steps)
        if self._progress != self._on_disk:
            self._checkpoints.save(steps, self._progress.to_dict())
        self._on_disk, self._saved = self._progress, time.monotonic()

    def _check(self, elbo: np.ndarray, first: int) -> None:
        bad = np.flatnonzero(~_good(elbo))
        if len(bad):
            step = first + int(bad[0])
            self._come_apart(step, _bad(elbo[bad[0]]), step)

    def _come_apart(self, step: int, what: str, updates: int) -> None:
        """Ends the run: `what`, seen at step number `step`, comes of the weights after so many `updates`."""
        newest = self._checkpoints.newest(before=updates)
        raise UserError(
            f"at step {step + 1} (epoch {step // self._steps + 1}) {what}: lower the learning rate (it was "
            f"{self._config.learning_rate:g}) or set clip_norm (it was {self._config.clip_norm:g}), and run again; "
            f"`python -m trainer` needs another --output for that, or {self._checkpoints.folder} removed. No model was "
            f"written; the last good checkpoint is {newest or 'none'}"
        )

    def _introduce(self) -> None:
        log.info(
            "training on %s images, %s held out, %s test; batch %d, %d steps an epoch, %s parameters",
            *(f"{len(images):,}" for images in (self._rows, self._held_out, self._test)),
            self._config.batch_size,
            self._steps,
            f"{sum(math.prod(v.shape) for v in self.model.trainable_variables):,}",
        )
        if self._progress.steps:
            log.info(
                "going on after step %d of %d, from %s",
                self._progress.steps,
                self._steps * self._config.epochs,
                self._checkpoints.newest(),
            )


class _Copy(tf.Module):
    """A copy of a model's weights."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self._variables = list(model.variables)
        self.copies = [tf.Variable(v.read_value(), trainable=False) for v in self._variables]

    def take(self) -> None:
        """Copies the model's weights as they are now."""
        for copy, variable in zip(self.copies, self._variables, strict=True):
            copy.assign(variable.read_value())

    def restore(self) -> None:
        """Gives the model the weights back."""
        for copy, variable in zip(self.copies, self._variables, strict=True):
            variable.assign(copy.read_value())


def _bad(elbo: float) -> str:
    return f"the ELBO is {elbo:g} nats per image, expected a number above {EXPLODED:g}"


def _good(elbo: np.ndarray) -> np.ndarray:
    return np.isfinite(elbo) & (elbo > EXPLODED)


def _look_at(
    model: VAE, config: TrainConfig, epochs: tuple[Epoch, ...], test: ImageSet, strategy: tf.distribute.Strategy
) -> TrainResult:
    """Evaluates the trained model as the gate will, and more closely if the configuration asks for it."""
    mean = Evaluator(model, config.eval_samples, strategy)(test)
    likelihood, best_epoch = model.likelihood, Progress(epochs=epochs).best.epoch
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
    looked = quality(model, test, config.importance_samples, strategy)
    log.info(
        "test set: KL %.2f, importance-weighted bound %.2f with %d samples, %d of %d latents active",
        mean.kl,
        looked.importance_weighted_bound,
        config.importance_samples,
        looked.active_latents,
        model.latent_size,
    )
    return TrainResult(model, epochs, best_epoch, mean, looked)
