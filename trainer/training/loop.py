"""The training loop for every strategy, which can stop and resume."""

import logging
import math
import os
import signal
import time
from typing import NoReturn

import numpy as np
import tensorflow as tf

from trainer.errors import InterruptError, UserError
from trainer.evaluate import Evaluator, evaluate_latents, gain_rows, quality
from trainer.images import ImageSet, hold_out, shuffled_batches
from trainer.interrupt import signals_noted
from trainer.model.build import build
from trainer.model.latent_model import LatentModel
from trainer.model.likelihoods import bits_per_dim
from trainer.schema import SettingError
from trainer.settings import Execution, TrainConfig
from trainer.shape import Shape
from trainer.strategy import check_agreement, is_chief, leave_together, read_ahead
from trainer.training.checkpoint import Checkpoints
from trainer.training.optimizer import build_optimizer
from trainer.training.pace import Pace
from trainer.training.record import Epoch, Progress, TrainResult, Writer, write_history
from trainer.training.step import TrainStep
from trainer.training.warm_start import load_weights, weights_identity

log = logging.getLogger(__name__)

STEPS_PER_CALL, IMAGES_PER_CALL = 16, 4096  # limits of one call; signals, clock and losses are checked between calls
VALUES_PER_CALL = IMAGES_PER_CALL * 32 * 32 * 3  # a further limit, for large images
PROGRESS_SECONDS = 30.0  # between progress lines within an epoch
EXPLODED = -100.0  # nats per value of an image; an untrained model reaches some below 0


def train_and_evaluate(
    config: TrainConfig,
    train: ImageSet,
    test: ImageSet,
    workdir: str,
    base_model: str | None = None,
    strategy: tf.distribute.Strategy | None = None,
    checkpoints: str | None = None,
    checkpoint_minutes: float = Execution.checkpoint_minutes,
    checkpoint_percent: float = Execution.checkpoint_percent,
) -> TrainResult:
    """Trains on `train`, logs every epoch, and returns the epoch with the best ELBO on a held-out part of `train`.

    It starts from the weights of the SavedModel at `base_model`, or from random ones, and resumes from the newest
    checkpoint in the folder `checkpoints` (default: `workdir`/checkpoints), which the caller may remove afterwards. It
    saves one at the end of each epoch, and between them every `checkpoint_minutes` and as often as `checkpoint_percent`
    of the time allows. It writes TensorBoard scalars to `workdir` and, at the end, `history.json`.

    Raises:
      UserError: fewer images than a batch, a batch that does not divide over the replicas, an ELBO that is not
        finite or has exploded, a `base_model` whose weights do not fit, or checkpoints of another run.
      StorageError: a checkpoint cannot be written.
      InterruptError: this worker or another received SIGINT, SIGTERM or SIGHUP; a checkpoint is saved.
    """
    strategy = strategy or tf.distribute.get_strategy()
    checkpoints = checkpoints or os.path.join(workdir, "checkpoints")
    pace = Pace(checkpoint_percent / 100.0, checkpoint_minutes * 60.0, time.monotonic)
    run = _Run(config, train, test, base_model, strategy, checkpoints, pace)
    with Writer(workdir, writes=is_chief(strategy)) as writer:
        epochs = run.train(writer)
    result = _evaluate(run.model, config, epochs, test, strategy)
    if is_chief(strategy):
        write_history(config, result, workdir)
    return result


def steps_per_call(batch_size: int, shape: Shape) -> int:
    """Returns the number of steps of one call, from the size of the global batch and the shape of its images."""
    images = min(IMAGES_PER_CALL, VALUES_PER_CALL // shape.size)
    return max(1, min(STEPS_PER_CALL, images // batch_size))


class _Run:
    """A run in progress: its model, optimizer, best weights and progress."""

    def __init__(
        self,
        config: TrainConfig,
        train: ImageSet,
        test: ImageSet,
        base_model: str | None,
        strategy: tf.distribute.Strategy,
        checkpoints: str,
        pace: Pace,
    ) -> None:
        self._rows, held_out = hold_out(len(train), config.held_out_fraction, config.seed)
        self._config, self._train, self._held_out, self._test = config, train, train.take(held_out), test
        self._strategy, self._exploded = strategy, EXPLODED * train.shape.size
        self._steps = len(self._rows) // config.batch_size  # of an epoch
        if not self._steps:
            expected = f"at most {len(self._rows)}, the number of training images"
            raise SettingError("batch_size", expected, config.batch_size)
        with strategy.scope():
            self.model = build(config, train.shape)
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
        self._pace = pace

    def train(self, writer: Writer) -> tuple[Epoch, ...]:
        """Trains to the last epoch and sets the model to the weights of the best epoch on the held-out images."""
        self._introduce()
        writer.begin(self._progress.epochs)
        with signals_noted() as signals:
            while len(self._progress.epochs) < self._config.epochs and self._train_epoch(signals):
                epoch = self._end_epoch()
                writer.report(epoch, self._config.epochs)
                self._save()
            self._save()  # for a stop
        stopped = len(self._progress.epochs) < self._config.epochs  # all workers, at the same step
        if stopped:
            leave_together(self._strategy)
        if stopped or signals:
            log.info("stopped after step %d; the next start resumes there", self._progress.steps)
            raise InterruptError(signals[0] if signals else signal.SIGTERM)
        self._best.restore()
        return self._progress.epochs

    def _train_epoch(self, signals: list[int]) -> bool:
        """Trains the rest of an epoch; returns False if any worker asks to stop before its end."""
        config, number = self._config, len(self._progress.epochs) + 1
        at_once = steps_per_call(config.batch_size, self._train.shape)
        rows = shuffled_batches(self._rows, config.batch_size, config.seed, number)
        began = shown = time.monotonic()
        for start in range(self._progress.steps - (number - 1) * self._steps, self._steps, at_once):
            first = self._progress.steps
            read_ahead(self._strategy, self._train.pixels, rows[start + at_once : start + 2 * at_once])
            elbo, stop = self._step(self._train.pixels, rows[start : start + at_once], first, bool(signals))
            self._check(elbo, first)
            now = time.monotonic()
            self._progress = self._progress.after(elbo, now - began)
            if stop:
                return False
            if is_chief(self._strategy) and self._pace.is_due():  # no agreement: the other workers write nothing
                self._save()
            if now - shown > PROGRESS_SECONDS:
                shown = now
                log.info("epoch %d/%d  step %d of %d", number, config.epochs, start + len(elbo), self._steps)
            began = time.monotonic()
        return True

    def _end_epoch(self) -> Epoch:
        """Evaluates the epoch and copies its weights if they are the best so far."""
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
            if not self._is_good(np.array(epoch.held_out.elbo)):
                expected = f"a held-out ELBO above {self._exploded:g} nats per image"
                self._diverged(progress.steps - 1, progress.steps, epoch.held_out.elbo, expected)
            self._progress = Progress(progress.steps, epochs=(*progress.epochs, epoch))
            if self._progress.best is epoch:
                self._best.take()
        return epoch

    def _save(self) -> None:
        """Saves a checkpoint, unless the newest one has the same progress."""
        if self._progress == self._on_disk:
            return
        steps = self._progress.steps
        with self._pace.pause():
            if not all(np.all(np.isfinite(v.numpy())) for v in (*self.model.variables, *self._optimizer.variables)):
                self._diverged(steps - 1, steps, "a number that is not finite", "finite weights and Adam moments")
            self._checkpoints.save(steps, self._progress.to_dict())
        self._on_disk = self._progress

    def _check(self, elbo: np.ndarray, first: int) -> None:
        bad = np.flatnonzero(~self._is_good(elbo))
        if len(bad):
            step = first + int(bad[0])
            self._diverged(step, step, float(elbo[bad[0]]), f"an ELBO above {self._exploded:g} nats per image")

    def _is_good(self, elbo: np.ndarray) -> np.ndarray:
        return np.isfinite(elbo) & (elbo > self._exploded)

    def _diverged(self, step: int, updates: int, value: object, valid: str) -> NoReturn:
        """Ends the run, because the weights after `updates` steps gave `value` in step number `step`."""
        rate, clip_norm = self._config.learning_rate, self._config.clip_norm
        folder, newest = self._checkpoints.folder, self._checkpoints.newest(before=updates)
        raise UserError(
            f"training diverged at step {step + 1} (epoch {step // self._steps + 1})",
            value=value,
            valid=valid,
            remedy=f"Lower learning_rate ({rate:g}) or set clip_norm ({clip_norm:g}), and start again; `python -m "
            f"trainer` then needs another --output, or {folder} removed. No model was written; the last good "
            f"checkpoint is {newest or 'none'}",
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
                "resuming after step %d of %d from %s",
                self._progress.steps,
                self._steps * self._config.epochs,
                self._checkpoints.newest(),
            )


class _Copy(tf.Module):
    """A copy of a model's weights."""

    def __init__(self, model: LatentModel) -> None:
        super().__init__()
        self._variables = list(model.variables)
        self.copies = [tf.Variable(v.read_value(), trainable=False) for v in self._variables]

    def take(self) -> None:
        """Copies the model's current weights."""
        for copy, variable in zip(self.copies, self._variables, strict=True):
            copy.assign(variable.read_value())

    def restore(self) -> None:
        """Assigns the copy to the model."""
        for copy, variable in zip(self.copies, self._variables, strict=True):
            variable.assign(copy.read_value())


def _evaluate(
    model: LatentModel, config: TrainConfig, epochs: tuple[Epoch, ...], test: ImageSet, strategy: tf.distribute.Strategy
) -> TrainResult:
    """Evaluates the trained model like the gate, with the importance-weighted bound if `config` asks for it."""
    mean, elbos, latents = evaluate_latents(model, test, config.eval_samples, strategy)
    likelihood, best_epoch = model.likelihood, Progress(epochs=epochs).best.epoch
    bits = f", {bits_per_dim(likelihood, mean.elbo, test.shape.size):.3f} bits/dim" if likelihood.IS_PROBABILITY else ""
    log.info(
        "epoch %d has the best held-out ELBO; its test-set ELBO with %d samples per image: %.2f nats per image%s",
        best_epoch,
        config.eval_samples,
        mean.elbo,
        bits,
    )
    for group in latents:
        log.info(
            "latents %s: KL %.2f ± %.2f nats per image, %d of %d active (%d to %d, 95 %% intervals)",
            group.group,
            sum(group.kl),
            group.half_width,
            group.active,
            len(group.kl),
            *group.active_interval,
        )
    if not config.importance_samples:
        return TrainResult(model, epochs, best_epoch, mean, quality=None, latents=latents)
    log.info(
        "drawing %d samples of %s test images for the importance-weighted bound",
        config.importance_samples,
        f"{len(gain_rows(len(test))):,}",
    )
    found = quality(model, test, elbos, config.importance_samples, strategy)
    log.info(
        "importance-weighted bound: %.2f ± %.2f nats per image, a gain over the ELBO of %.2f ± %.2f (95 %% intervals)",
        found.importance_weighted_bound,
        found.bound_half_width,
        found.gain,
        found.gain_half_width,
    )
    return TrainResult(model, epochs, best_epoch, mean, found, latents)
