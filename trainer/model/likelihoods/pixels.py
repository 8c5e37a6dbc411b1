"""What is known of pixels without a model."""

from typing import NamedTuple

import tensorflow as tf

LEVELS = 256  # of an 8-bit pixel


class PixelModel(NamedTuple):
    """The moments of each pixel over the training images."""

    mean: tf.Tensor  # [D], in [0, 1]
    variance: tf.Tensor  # [D]
