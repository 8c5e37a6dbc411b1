"""Counts the arithmetic that a training step needs, from the model itself."""

from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.bench.data import SHAPE
from trainer.model.build import build
from trainer.model.objective import draw
from trainer.settings import TrainConfig


class Flops(NamedTuple):
    """The floating-point operations per image in products with weights; all others are few."""

    forward: int
    training: int  # forward pass, and gradients of inputs and weights


def flops_per_image(config: TrainConfig) -> Flops:
    """Counts the operations for one image, with as many draws of z as in training.

    For a product y = x W, each of dx = dy W' and dW = x' dy costs as much as y. The first layer needs no dx.
    """
    model = build(config, SHAPE)
    for variable in model.variables:
        variable.assign(tf.ones_like(variable))  # every zero in the weights comes from a mask
    x, eps = tf.ones([1, SHAPE.size]), tf.ones([config.train_samples, 1, model.latent_size])
    counts = multiply_adds(lambda: draw(model, x, eps))
    return Flops(forward=2 * sum(counts), training=2 * (3 * sum(counts) - counts[0]))


def multiply_adds(forward: Callable[[], Any]) -> list[int]:
    """Returns the multiply-adds of each product with weights that `forward` runs eagerly, in order.

    With ones in place of nonzero values, the outputs of a product sum to its number of multiply-adds, without masked
    weights and the padding of images. No input may be zero.
    """
    counts: list[int] = []

    def counting(product: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        def count_and_call(a: tf.Tensor, b: tf.Tensor, *arguments: Any, **options: Any) -> tf.Tensor:
            ones = product(*(tf.cast(tf.not_equal(factor, 0), a.dtype) for factor in (a, b)), *arguments, **options)
            counts.append(int(np.sum(ones, dtype=np.float64)))
            return product(a, b, *arguments, **options)

        return count_and_call

    with (
        mock.patch.object(tf, "matmul", counting(tf.matmul)),
        mock.patch.object(tf.nn, "conv2d", counting(tf.nn.conv2d)),
    ):
        forward()
    return counts
