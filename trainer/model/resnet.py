"""Residual convolutional networks for 32x32 images: strided, pre-activated with ELU, without normalisation.

Blocks as in He et al. (2016, arXiv 1603.05027); 32x32 pixels go to 16x16 with C channels and to 8x8 with 2 C,
as in the encoder of Kingma et al. (2016, arXiv 1606.04934, appendix C.4), and back the same way.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainer.model.networks import Dense

SIDE, COLOURS = 32, 3
LOW = SIDE // 4  # side of the smallest feature map

Layer = Callable[[tf.Tensor], tf.Tensor]  # feature maps to feature maps


class Conv(tf.Module):
    """Convolution with padding, [N, H, W, inputs] to [N, H / stride, W / stride, outputs]; He et al. (2015) weights.

    Args:
      side: of the kernel.
      gain: factor on the initial weights; 0 makes the layer's first output zero.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int,
        stride: int,
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        scale = gain * math.sqrt(1.0 / (side * side * inputs))
        self.w = tf.Variable(rng.normal(0.0, 1.0, [side, side, inputs, outputs]) * scale, dtype=dtype, name="w")
        self.b = tf.Variable(tf.zeros([outputs], dtype), name="b")
        self._stride = stride

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """x: [N, H, W, inputs]."""
        return tf.nn.conv2d(x, self.w, self._stride, "SAME") + self.b


class Upsample(tf.Module):
    """Twice the side: a convolution to four times the channels, laid out in space (Shi et al., 2016, 1609.05158)."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator, dtype: tf.DType = tf.float32) -> None:
        super().__init__()
        self.conv = Conv(inputs, 4 * outputs, 3, 1, rng, dtype)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """x: [N, H, W, inputs]; returns [N, 2 H, 2 W, outputs]."""
        return tf.nn.depth_to_space(self.conv(x), 2)


class ResidualBlock(tf.Module):
    """y = x + conv(elu(conv(elu(x)))), the identity at first."""

    def __init__(self, channels: int, rng: np.random.Generator, dtype: tf.DType = tf.float32) -> None:
        super().__init__()
        self.first = Conv(channels, channels, 3, 1, rng, dtype)
        self.second = Conv(channels, channels, 3, 1, rng, dtype, gain=0.0)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """x: [N, H, W, channels]; returns the same shape."""
        return x + self.second(tf.nn.elu(self.first(tf.nn.elu(x))))


class Flat(tf.Module):
    """A layer of feature maps between flat arrays: it hides that latents are maps from all who need no maps.

    Args:
      conv: the layer.
      channels: of its input.
    """

    def __init__(self, conv: Conv, channels: int) -> None:
        super().__init__()
        self.conv = conv
        self._channels = channels

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """x: [..., LOW * LOW * channels]; returns [N, LOW * LOW * outputs], leading axes made one."""
        maps = self.conv(tf.reshape(x, [-1, LOW, LOW, self._channels]))
        return tf.reshape(maps, [-1, LOW * LOW * maps.shape[-1]])


def dense_or_maps(inputs: int, outputs: int, maps: bool, rng: np.random.Generator, dtype: tf.DType) -> Dense | Flat:
    """A layer between flat arrays of `inputs` and `outputs`: dense, or as 8x8 feature maps a 3x3 convolution."""
    if not maps:
        return Dense(inputs, outputs, rng, dtype)
    cells = LOW * LOW
    return Flat(Conv(inputs // cells, outputs // cells, 3, 1, rng, dtype), inputs // cells)


class ResNetEncoder(tf.Module):
    """Images to linear outputs of the last feature map.

    Args:
      channels: C, at 16x16; twice as many at 8x8.
      blocks: residual blocks at each of the two resolutions.
      maps: whether an output is 8x8 feature maps, flattened, each cell a function of its part of the image.
      outputs: size of each output; multiples of 64 if they are maps.
    """

    def __init__(
        self,
        channels: int,
        blocks: int,
        maps: bool,
        outputs: Sequence[int],
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
    ) -> None:
        super().__init__()
        self.layers: list[Layer] = [
            Conv(COLOURS, channels, 4, 2, rng, dtype),
            *(ResidualBlock(channels, rng, dtype) for _ in range(blocks)),
            Conv(channels, 2 * channels, 4, 2, rng, dtype),
            *(ResidualBlock(2 * channels, rng, dtype) for _ in range(blocks)),
        ]
        self._features = LOW * LOW * 2 * channels
        self.heads = [dense_or_maps(self._features, size, maps, rng, dtype) for size in outputs]

    def __call__(self, x: tf.Tensor) -> list[tf.Tensor]:
        """x: [B, 3072] in [0, 1]; returns a [B, size] for each of `outputs`."""
        features = tf.reshape(2.0 * x - 1.0, [-1, SIDE, SIDE, COLOURS])
        for layer in self.layers:
            features = layer(features)
        features = tf.reshape(tf.nn.elu(features), [-1, self._features])
        return [head(features) for head in self.heads]


class ResNetDecoder(tf.Module):
    """Latents to arrays of the shape of the image.

    Args:
      inputs: latents, L.
      channels, blocks, maps: as the encoder's, in reverse order.
      outputs: number of arrays.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        blocks: int,
        maps: bool,
        outputs: int,
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
    ) -> None:
        super().__init__()
        self._channels, self._outputs = channels, outputs
        self.first = dense_or_maps(inputs, LOW * LOW * 2 * channels, maps, rng, dtype)
        self.layers: list[Layer] = [
            *(ResidualBlock(2 * channels, rng, dtype) for _ in range(blocks)),
            Upsample(2 * channels, channels, rng, dtype),
            *(ResidualBlock(channels, rng, dtype) for _ in range(blocks)),
        ]
        self.last = Upsample(channels, COLOURS * outputs, rng, dtype)

    def __call__(self, z: tf.Tensor) -> list[tf.Tensor]:
        """z: [..., L]; returns `outputs` arrays [..., 3072]."""
        features = tf.reshape(self.first(z), [-1, LOW, LOW, 2 * self._channels])
        for layer in self.layers:
            features = layer(features)
        pixels = self.last(tf.nn.elu(features))
        shape = tf.concat([tf.shape(z)[:-1], [SIDE * SIDE * COLOURS]], axis=0)
        return [tf.reshape(part, shape) for part in tf.split(pixels, self._outputs, axis=-1)]
