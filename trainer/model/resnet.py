"""Residual convolutional networks for images: strided, pre-activated with ELU, without normalisation.

The blocks are those of He et al. (2016, arXiv 1603.05027). The encoder maps 32x32 pixels to 16x16 with C channels,
then to 8x8 with 2 C (Kingma et al., 2016, arXiv 1606.04934, appendix C.4); the decoder reverses this. Half of an odd
side is rounded up, and the decoder drops the row or column beyond it.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainer.model.networks import Dense
from trainer.model.precision import convolve
from trainer.shape import Shape

Layer = Callable[[tf.Tensor], tf.Tensor]  # feature maps to feature maps


class Conv(tf.Module):
    """Padded convolution from [N, H, W, inputs] to [N, H / stride, W / stride, outputs], both rounded up.

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

    def kernel(self) -> tf.Tensor:
        """Returns the weights of the convolution, [side, side, inputs, outputs]."""
        return self.w

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Convolves x [N, H, W, inputs]."""
        return convolve(x, self.kernel(), self._stride) + self.b


class Upsample(tf.Module):
    """Upsampling by 2: a convolution to four times the channels, then depth to space (Shi et al., 2016, 1609.05158).

    Args:
      height, width: of the output, twice those of the input or one less.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        height: int,
        width: int,
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
    ) -> None:
        super().__init__()
        self.conv = Conv(inputs, 4 * outputs, 3, 1, rng, dtype)
        self._height, self._width = height, width

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Maps x [N, H, W, inputs] to [N, height, width, outputs]."""
        twice = tf.nn.depth_to_space(self.conv(x), 2)
        is_even = tuple(twice.shape[1:3]) == (self._height, self._width)
        return twice if is_even else twice[:, : self._height, : self._width]


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
      height, width, channels: of its input.
    """

    def __init__(self, conv: Conv, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.conv = conv
        self._height, self._width, self._channels = height, width, channels

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Maps x [..., height * width * channels] to [N, height * width * outputs], with the leading axes merged."""
        maps = self.conv(tf.reshape(x, [-1, self._height, self._width, self._channels]))
        return tf.reshape(maps, [-1, self._height * self._width * maps.shape[-1]])


def flat_parts(maps: tf.Tensor, sizes: Sequence[int], leading: tf.Tensor) -> list[tf.Tensor]:
    """Splits the channels of maps [N, H, W, C] into parts of the given `sizes`, [..., H W size] with `leading` axes."""
    return [as_rows(part, leading) for part in tf.split(maps, list(sizes), axis=-1)]


def as_rows(maps: tf.Tensor, leading: tf.Tensor) -> tf.Tensor:
    """Flattens maps [N, H, W, C] to [..., H W C] with `leading` axes, whose product is N."""
    return tf.reshape(maps, tf.concat([leading, [math.prod(maps.shape[1:])]], axis=0))


def smallest_map(shape: Shape) -> tuple[int, int]:
    """Returns height and width of the smallest feature map: a quarter of the image's, rounded up."""
    return -(-shape.height // 4), -(-shape.width // 4)


def dense_or_maps(
    inputs: int, outputs: int, shape: Shape, maps: bool, rng: np.random.Generator, dtype: tf.DType
) -> Dense | Flat:
    """Returns a layer from `inputs` to `outputs` flat values: dense, or a 3x3 convolution of the smallest maps."""
    if not maps:
        return Dense(inputs, outputs, rng, dtype)
    height, width = smallest_map(shape)
    cells = height * width
    return Flat(Conv(inputs // cells, outputs // cells, 3, 1, rng, dtype), height, width, inputs // cells)


class ResNetEncoder(tf.Module):
    """A network from images to linear outputs of its last feature map.

    Args:
      shape: of the images.
      channels: C, at half their height and width; twice as many at a quarter.
      blocks: residual blocks at each of the two resolutions.
      maps: whether each output is flattened smallest maps, whose cells depend on their part of the image only.
      outputs: size of each output, with maps a multiple of their cells.
    """

    def __init__(
        self,
        shape: Shape,
        channels: int,
        blocks: int,
        maps: bool,
        outputs: Sequence[int],
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
    ) -> None:
        super().__init__()
        self.layers: list[Layer] = [
            Conv(shape.channels, channels, 4, 2, rng, dtype),
            *(ResidualBlock(channels, rng, dtype) for _ in range(blocks)),
            Conv(channels, 2 * channels, 4, 2, rng, dtype),
            *(ResidualBlock(2 * channels, rng, dtype) for _ in range(blocks)),
        ]
        self._height, self._width, self._channels = shape
        self._features = math.prod(smallest_map(shape)) * 2 * channels
        self.heads = [dense_or_maps(self._features, size, shape, maps, rng, dtype) for size in outputs]

    def __call__(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Maps x [B, D] in [0, 1] to one [B, size] per output."""
        features = tf.reshape(2.0 * x - 1.0, [-1, self._height, self._width, self._channels])
        for layer in self.layers:
            features = layer(features)
        features = tf.reshape(tf.nn.elu(features), [-1, self._features])
        return [head(features) for head in self.heads]


class ResNetDecoder(tf.Module):
    """A network from latents to arrays of values of the image's pixels.

    Args:
      inputs: latents, L.
      shape, channels, blocks, maps: those of the encoder, in reverse order.
      outputs: values of a pixel in each array.
    """

    def __init__(
        self,
        inputs: int,
        shape: Shape,
        channels: int,
        blocks: int,
        maps: bool,
        outputs: Sequence[int],
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
    ) -> None:
        super().__init__()
        self._channels, self._outputs = channels, outputs
        self._height, self._width = smallest_map(shape)
        self.first = dense_or_maps(inputs, self._height * self._width * 2 * channels, shape, maps, rng, dtype)
        self.layers: list[Layer] = [
            *(ResidualBlock(2 * channels, rng, dtype) for _ in range(blocks)),
            Upsample(2 * channels, channels, -(-shape.height // 2), -(-shape.width // 2), rng, dtype),
            *(ResidualBlock(channels, rng, dtype) for _ in range(blocks)),
        ]
        self.last = Upsample(channels, sum(outputs), shape.height, shape.width, rng, dtype)

    def __call__(self, z: tf.Tensor) -> list[tf.Tensor]:
        """Maps z [..., L] to an array [..., pixels * size] for each size in `outputs`."""
        features = tf.reshape(self.first(z), [-1, self._height, self._width, 2 * self._channels])
        for layer in self.layers:
            features = layer(features)
        return flat_parts(self.last(tf.nn.elu(features)), self._outputs, tf.shape(z)[:-1])
