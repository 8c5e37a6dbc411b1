"""The arithmetic that a training step cannot do without, counted from the model itself."""

from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import tensorflow as tf

from trainer.images import IMAGE_SIZE
from trainer.model.objective import draw
from trainer.model.vae import build
from trainer.settings import TrainConfig


class Flops(NamedTuple):
    """Floating point operations per image in products with weights; all else is small beside them."""

    forward: int
    training: int  # forward, and backward to inputs and to weights


def flops_per_image(config: TrainConfig) -> Flops:
    """Counts one image's way through the model, with as many draws of z as training takes.

    A product y = x W costs as much again for each of dx = dy W' and dW = x' dy; the first layer needs no dx.
    """
    model = build(config, IMAGE_SIZE)
    for variable in model.variables:
        variable.assign(tf.ones_like(variable))  # a zero among the weights is a mask's
    x, eps = tf.ones([1, IMAGE_SIZE]), tf.ones([config.train_samples, 1, config.latent_size])
    counts = multiply_adds(lambda: draw(model, x, eps))
    return Flops(forward=2 * sum(counts), training=2 * (3 * sum(counts) - counts[0]))


def multiply_adds(forward: Callable[[], Any]) -> list[int]:
    """Multiply-adds of each product with weights that `forward` runs eagerly, in their order.

    With ones for all that is not zero, a product's outputs sum to their number: neither masked weights nor the padding
    around an image count. No input may be zero.
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
