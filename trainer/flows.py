"""Inverse autoregressive flow (Kingma et al., 2016, arXiv 1606.04934, section 4)."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.networks import Dense

BLOCK = 256  # columns of a masked product: fewer would spare more zeros, but each product would reach less speed
OUTPUT_GAIN = 0.01  # a new flow all but leaves the latents apart from each other, which a decoder can learn from


class FlowResult(NamedTuple):
    """A flow's value and log-determinant, which only mean something together."""

    z: tf.Tensor  # [..., L]
    log_gates: tf.Tensor  # [..., L], nats: log d z_i / d (what z_i came from); their sum is log |det dz_out / dz_in|


class MaskedDense(tf.Module):
    """y = x (W * mask) + b, where mask lets input i reach output j iff degree_in[i] <= degree_out[j].

    Both degrees rise, so what W * mask has of other than zeros lies above a staircase. W is kept in blocks of columns,
    each no longer than its last column: the zeros below are neither stored nor multiplied. The masks of those within
    are made from the degrees in the graph, where they cost no memory in a saved model. W is drawn as in `Dense`, times
    `gain`.
    """

    def __init__(
        self,
        degree_in: np.ndarray,
        degree_out: np.ndarray,
        rng: np.random.Generator,
        dtype: tf.DType,
        bias: float = 0.0,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        inputs, outputs = len(degree_in), len(degree_out)
        limit = gain * math.sqrt(6.0 / (inputs + outputs))
        whole = rng.uniform(-limit, limit, [inputs, outputs])
        self.w, self._degrees = [], []
        for start, end in itertools.pairwise([0, *range(BLOCK, outputs - BLOCK // 2, BLOCK), outputs]):
            columns = degree_out[start:end]
            rows = degree_in[degree_in <= columns[-1]]
            self.w.append(tf.Variable(whole[: len(rows), start:end], dtype=dtype, name="w"))
            self._degrees.append((rows, columns))
        self.b = tf.Variable(tf.fill([outputs], tf.constant(bias, dtype)), name="b")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """x: [..., inputs]; returns [..., outputs]."""
        y = []
        for w, (rows, columns) in zip(self.w, self._degrees, strict=True):
            mask = tf.constant(rows)[:, None] <= tf.constant(columns)[None, :]
            y.append(tf.matmul(x[..., : len(rows)], w * tf.cast(mask, w.dtype)))
        return tf.concat(y, axis=-1) + self.b


class MADE(tf.Module):
    """Masked autoregressive network: output i sees z_1 .. z_(i-1) and all of the context.

        u1 = elu(z (W1 * M1) + h C + b1),   u = elu(u (W * M) + b),   y_k = u (Vk * S) + ck

    The M and S are the masks of Germain et al. (2015, arXiv 1502.03509), S strict.

    Args:
      size: number L of latents, at least 2.
      hidden: units of a hidden layer; degrees 0 .. L-1 are spread evenly over them;
        a unit of degree d sees z_1 .. z_d, so those of degree 0 bring the context to every output.
      layers: number of hidden layers, at least 1.
      context: size of h, which is not masked.
      biases: what each output starts near; as many outputs as there are biases.
    """

    def __init__(
        self,
        size: int,
        hidden: int,
        layers: int,
        context: int,
        biases: Sequence[float],
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
    ) -> None:
        super().__init__()
        position = np.arange(1, size + 1)
        degree = np.arange(hidden) * size // hidden
        self.first = MaskedDense(position, degree, rng, dtype)
        self.context = Dense(context, hidden, rng, dtype)
        self.deeper = [MaskedDense(degree, degree, rng, dtype) for _ in range(layers - 1)]
        self.outputs = [MaskedDense(degree, position - 1, rng, dtype, bias, OUTPUT_GAIN) for bias in biases]

    def __call__(self, z: tf.Tensor, h: tf.Tensor) -> list[tf.Tensor]:
        """z: [..., size], h: [..., context]; returns a [..., size] for each output."""
        u = tf.nn.elu(self.first(z) + self.context(h))
        for layer in self.deeper:
            u = tf.nn.elu(layer(u))
        return [output(u) for output in self.outputs]


class IAFStep(tf.Module):
    """One step of the flow, and the reversal of the order of z after it.

        m, s = MADE(z, h),   g = sigmoid(s),   z' = reverse(g z + (1 - g) m),   log det = sum_i log g_i

    The Jacobian before the reversal is triangular with g on its diagonal, and reversing changes no volume.

    Args:
      made: a network with the two outputs m and s.
    """

    def __init__(self, made: MADE) -> None:
        super().__init__()
        self.made = made

    def __call__(self, z: tf.Tensor, h: tf.Tensor) -> FlowResult:
        """z: [..., size], h: [..., context]."""
        m, s = self.made(z, h)
        gate = tf.sigmoid(s)
        z = gate * z + (1.0 - gate) * m
        return FlowResult(tf.reverse(z, axis=[-1]), tf.reverse(tf.math.log_sigmoid(s), axis=[-1]))


class LocationStep(tf.Module):
    """The step that only moves: z' = reverse(z + m), m = MADE(z, h), log det = 0 (section 4, "location-only").

    Args:
      made: a network with the one output m.
    """

    def __init__(self, made: MADE) -> None:
        super().__init__()
        self.made = made

    def __call__(self, z: tf.Tensor, h: tf.Tensor) -> FlowResult:
        """z: [..., size], h: [..., context]."""
        (m,) = self.made(z, h)
        return FlowResult(tf.reverse(z + m, axis=[-1]), tf.zeros_like(z))
