"""Residual convolutional networks for 32x32 images: strided, pre-activated with ELU, without normalisation.

The blocks are those of He et al. (2016, arXiv 1603.05027). The encoder maps 32x32 pixels to 16x16 with C channels,
then to 8x8 with 2 C (Kingma et al., 2016, arXiv 1606.04934, appendix C.4); the decoder reverses this.
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
    """Padded convolution from [N, H, W, inputs] to [N, H / stride, W / stride, outputs].

    The initial weights are those of He et al. (2015), times `gain`.

    Args:
      side: of the kernel.
      gain: factor on the initial weights; with 0 the initial output is zero.
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
        """Convolves x [N, H, W, inputs]."""
        return tf.nn.conv2d(x, self.w, self._stride, "SAME") + self.b


class Upsample(tf.Module):
    """Upsampling by 2: a convolution to four times the channels, then depth to space (Shi et al., 2016, 1609.05158)."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator, dtype: tf.DType = tf.float32) -> None:
        super().__init__()
        self.conv = Conv(inputs, 4 * outputs, 3, 1, rng, dtype)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Maps x [N, H, W, inputs] to [N, 2 H, 2 W, outputs]."""
        return tf.nn.depth_to_space(self.conv(x), 2)


class ResidualBlock(tf.Module):
    """y = x + conv(elu(conv(elu(x)))), initially the identity."""

    def __init__(self, channels: int, rng: np.random.Generator, dtype: tf.DType = tf.float32) -> None:
        super().__init__()
        self.first = Conv(channels, channels, 3, 1, rng, dtype)
        self.second = Conv(channels, channels, 3, 1, rng, dtype, gain=0.0)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Maps x [N, H, W, channels] to the same shape."""
        return x + self.second(tf.nn.elu(self.first(tf.nn.elu(x))))


class Flat(tf.Module):
    """A convolution between flat arrays, so that other modules need not know that latents are feature maps.

    Args:
      conv: the convolution.
      channels: of its input.
    """

    def __init__(self, conv: Conv, channels: int) -> None:
        super().__init__()
        self.conv = conv
        self._channels = channels

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Maps x [..., LOW * LOW * channels] to [N, LOW * LOW * outputs], with the leading axes merged."""
        maps = self.conv(tf.reshape(x, [-1, LOW, LOW, self._channels]))
        return tf.reshape(maps, [-1, LOW * LOW * maps.shape[-1]])


def dense_or_maps(inputs: int, outputs: int, maps: bool, rng: np.random.Generator, dtype: tf.DType) -> Dense | Flat:
    """Returns a layer from `inputs` to `outputs` flat values: dense, or a 3x3 convolution of 8x8 feature maps."""
    if not maps:
        return Dense(inputs, outputs, rng, dtype)
    cells = LOW * LOW
    return Flat(Conv(inputs // cells, outputs // cells, 3, 1, rng, dtype), inputs // cells)


class ResNetEncoder(tf.Module):
    """A network from images to linear outputs of its last feature map.

    Args:
      channels: C, at 16x16; twice as many at 8x8.
      blocks: residual blocks at each of the two resolutions.
      maps: whether each output is flattened 8x8 feature maps, whose cells depend on their part of the image only.
      outputs: size of each output, a multiple of 64 with maps.
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
        """Maps x [B, 3072] in [0, 1] to one [B, size] per output."""
        features = tf.reshape(2.0 * x - 1.0, [-1, SIDE, SIDE, COLOURS])
        for layer in self.layers:
            features = layer(features)
        features = tf.reshape(tf.nn.elu(features), [-1, self._features])
        return [head(features) for head in self.heads]


class ResNetDecoder(tf.Module):
    """A network from latents to arrays of the image's shape.

    Args:
      inputs: latents, L.
      channels, blocks, maps: those of the encoder, in reverse order.
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
        """Maps z [..., L] to `outputs` arrays [..., 3072]."""
        features = tf.reshape(self.first(z), [-1, LOW, LOW, 2 * self._channels])
        for layer in self.layers:
            features = layer(features)
        pixels = self.last(tf.nn.elu(features))
        shape = tf.concat([tf.shape(z)[:-1], [SIDE * SIDE * COLOURS]], axis=0)
        return [tf.reshape(part, shape) for part in tf.split(pixels, self._outputs, axis=-1)]
