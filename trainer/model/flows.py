"""Inverse autoregressive flow (Kingma et al., 2016, arXiv 1606.04934, section 4)."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.model.networks import Dense

BLOCK = 256  # columns of a masked product: fewer would spare more zeros, but each product would reach less speed
OUTPUT_GAIN = 0.01  # a new flow all but leaves the latents apart from each other, which a decoder can learn from


class FlowResult(NamedTuple):
    """A flow's value and log-determinant, which only mean something together."""

    z: tf.Tensor  # [..., L]
    log_gates: tf.Tensor  # [..., L], nats: log d z_i / d (what z_i came from); their sum is log |det dz_out / dz_in|


class MaskedDense(tf.Module):
    """y = x (W * mask) + b, where mask lets input i reach output j iff degree_in[i] <= degree_out[j].

    Each of the degrees rises or falls, so what W * mask has of other than zeros lies on one side of a staircase. W is
    kept in blocks of columns, each of the rows that any of its columns sees: the others are neither stored nor
    multiplied. The masks within the blocks are made from the degrees in the graph, where they cost no memory in a saved
    model. W is drawn as in `Dense`, times `gain`.
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
        self.w, self._blocks = [], []
        for start, end in itertools.pairwise([0, *range(BLOCK, outputs - BLOCK // 2, BLOCK), outputs]):
            columns = degree_out[start:end]
            seen = np.flatnonzero(degree_in <= columns.max())
            rows = slice(seen[0], seen[-1] + 1) if len(seen) else slice(0)
            self.w.append(tf.Variable(whole[rows, start:end], dtype=dtype, name="w"))
            self._blocks.append((rows, degree_in[rows], columns))
        self.b = tf.Variable(tf.fill([outputs], tf.constant(bias, dtype)), name="b")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """x: [..., inputs]; returns [..., outputs]."""
        y = []
        for w, (rows, degree_in, degree_out) in zip(self.w, self._blocks, strict=True):
            mask = tf.constant(degree_in)[:, None] <= tf.constant(degree_out)[None, :]
            y.append(tf.matmul(x[..., rows], w * tf.cast(mask, w.dtype)))
        return tf.concat(y, axis=-1) + self.b


class MADE(tf.Module):
    """Masked autoregressive network: an output sees the latents that come before its own, and all of the context.

        u1 = elu(z (W1 * M1) + h C + b1),   u = elu(u (W * M) + b),   y_k = u (Vk * S) + ck

    The M and S are the masks of Germain et al. (2015, arXiv 1502.03509), S strict.

    Args:
      order: the place of each of the L latents among them, 1 .. L or L .. 1, L at least 2.
      hidden: units of a hidden layer; degrees 0 .. L-1 are spread evenly over them;
        a unit of degree d sees the first d latents, so those of degree 0 bring the context to every output.
      layers: number of hidden layers, at least 1.
      context: size of h, which is not masked.
      biases: what each output starts near; as many outputs as there are biases.
    """

    def __init__(
        self,
        order: np.ndarray,
        hidden: int,
        layers: int,
        context: int,
        biases: Sequence[float],
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
    ) -> None:
        super().__init__()
        degree = np.arange(hidden) * len(order) // hidden
        self.first = MaskedDense(order, degree, rng, dtype)
        self.context = Dense(context, hidden, rng, dtype)
        self.deeper = [MaskedDense(degree, degree, rng, dtype) for _ in range(layers - 1)]
        self.outputs = [MaskedDense(degree, order - 1, rng, dtype, bias, OUTPUT_GAIN) for bias in biases]

    def __call__(self, z: tf.Tensor, h: tf.Tensor) -> list[tf.Tensor]:
        """z: [..., L], h: [..., context]; returns a [..., L] for each output."""
        u = tf.nn.elu(self.first(z) + self.context(h))
        for layer in self.deeper:
            u = tf.nn.elu(layer(u))
        return [output(u) for output in self.outputs]


class IAFStep(tf.Module):
    """One step of the flow.

        m, s = MADE(z, h),   g = sigmoid(s),   z' = g z + (1 - g) m,   log det = sum_i log g_i

    The Jacobian is triangular in MADE's order, with g on its diagonal.

    Args:
      made: a network with the two outputs m and s.
    """

    def __init__(self, made: MADE) -> None:
        super().__init__()
        self.made = made

    def __call__(self, z: tf.Tensor, h: tf.Tensor) -> FlowResult:
        """z: [..., L], h: [..., context]."""
        m, s = self.made(z, h)
        gate = tf.sigmoid(s)
        return FlowResult(gate * z + (1.0 - gate) * m, tf.math.log_sigmoid(s))


class LocationStep(tf.Module):
    """The step that only moves: z' = z + m, m = MADE(z, h), log det = 0 (section 4, "location-only").

    Args:
      made: a network with the one output m.
    """

    def __init__(self, made: MADE) -> None:
        super().__init__()
        self.made = made

    def __call__(self, z: tf.Tensor, h: tf.Tensor) -> FlowResult:
        """z: [..., L], h: [..., context]."""
        (m,) = self.made(z, h)
        return FlowResult(z + m, tf.zeros_like(z))
