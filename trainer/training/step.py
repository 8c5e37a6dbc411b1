"""The training step on all replicas of a strategy."""

import logging
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.images import Pixels, mirror, to_unit_interval
from trainer.model.latent_model import LatentModel
from trainer.model.objective import draw
from trainer.model.precision import multiplies_bfloat16, products_in
from trainer.settings import TrainConfig, shard_size
from trainer.strategy import shard
from trainer.training.losses import build_loss
from trainer.training.optimizer import Adam

log = logging.getLogger(__name__)


class StepsResult(NamedTuple):
    """The result of the steps of one call."""

    elbo: np.ndarray  # [S], nats per image: each step's mean over the global batch, before its update
    stop: bool  # whether any worker asks to stop


class TrainStep:
    """Training steps of a model and its optimizer, both created under `strategy`.

    Each replica computes the gradients of its share of the batch, sums them over all replicas, and updates its copy of
    the weights. Noise is drawn for the global batch and then split, so it does not depend on the number of replicas.

    Raises:
      SettingError: the batch does not divide over the replicas, or the loss needs a single replica.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        config: TrainConfig,
        model: LatentModel,
        optimizer: Adam,
        steps_per_epoch: int,
    ) -> None:
        self._strategy, self._config, self._model, self._optimizer = strategy, config, model, optimizer
        self._replicas = strategy.num_replicas_in_sync
        self._shard = shard_size(config, self._replicas)
        self._products = tf.bfloat16 if config.has_convolutions and multiplies_bfloat16() else tf.float32
        if self._products == tf.bfloat16:
            log.info("convolutions multiply bfloat16 in training, which is faster here; evaluations use float32")
        self._loss = build_loss(config, steps_per_epoch, model.groups)
        # XLA fuses passes over activations; TensorFlow's kernels convolve, draw noise, flip and update weights faster.
        self._gradients = tf.function(self._shard_gradients, jit_compile=not config.has_convolutions or None)
        self._steps = tf.function(self._several)

    def __call__(self, pixels: Pixels, rows: np.ndarray, first: int, stop: bool = False) -> StepsResult:
        """Takes S steps; step i trains on the images pixels[rows[i]].

        Args:
          pixels: [N, H, W, C] uint8.
          rows: [S, batch_size], indices of images.
          first: number of the first step, counted from 0.
          stop: whether this worker asks all workers to stop.
        """
        shards = shard(self._strategy, pixels, rows)
        elbo, stops = self._steps(shards, tf.constant(first), tf.constant(float(stop)))
        return StepsResult(elbo.numpy(), bool(stops > 0.0))

    def _several(self, shards: tf.Tensor, first: tf.Tensor, stop: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Loops over the steps in the graph, without Python between them."""
        steps = tf.shape(self._strategy.experimental_local_results(shards)[0])[0]
        elbos, stops = tf.TensorArray(tf.float32, steps), tf.zeros([])
        for i in tf.range(steps):
            elbo, stops = self._strategy.run(self._replica_step, (shards, i, first + i, stop))
            elbo, stops = (self._strategy.experimental_local_results(value)[0] for value in (elbo, stops))
            elbos = elbos.write(i, elbo)
        return elbos.stack(), stops

    def _replica_step(
        self, shards: tf.Tensor, i: tf.Tensor, number: tf.Tensor, stop: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        config, context = self._config, tf.distribute.get_replica_context()
        start = context.replica_id_in_sync_group * self._shard
        noise_shape = [config.train_samples, config.batch_size, self._model.latent_size]
        eps = tf.random.stateless_normal(noise_shape, [config.seed, number])
        pixels = shards[i]
        if config.horizontal_flips:
            flip_seed = [config.seed, -1 - number]  # negative, so it differs from every seed of eps
            which = tf.random.stateless_uniform([config.batch_size], flip_seed) < 0.5
            pixels = mirror(pixels, tf.slice(which, [start], [self._shard]))
        gradients, elbo = self._gradients(pixels, tf.slice(eps, [0, start, 0], [-1, self._shard, -1]), number)
        *gradients, elbo, stops = context.all_reduce("SUM", [*gradients, elbo, tf.identity(stop)])
        self._optimizer.update(gradients, number)
        return elbo, stops

    def _shard_gradients(
        self, pixels: tf.Tensor, eps: tf.Tensor, number: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Computes this replica's terms of the batch's gradients and mean ELBO.

        Both are divided by the number of replicas, so that their sums are means over the global batch.
        """
        x = to_unit_interval(pixels)
        with tf.GradientTape() as tape:
            with products_in(self._products):
                drawn = draw(self._model, x, eps)
            loss = self._loss(drawn, number) / self._replicas
        gradients = tape.gradient(loss, self._model.trainable_variables)
        return gradients, tf.reduce_mean(drawn.elbo().elbo) / self._replicas
