"""Inverse autoregressive flow (Kingma et al., 2016, arXiv 1606.04934, section 4)."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.model.networks import Dense
from trainer.settings import TrainConfig

BLOCK = 256  # columns of a masked product: narrower blocks store fewer zeros, but multiply more slowly
OUTPUT_GAIN = 0.01  # a new flow hardly mixes the latents, so a decoder can learn from them


class FlowResult(NamedTuple):
    """A flow's value and log-determinant."""

    z: tf.Tensor  # [..., L]
    log_gates: tf.Tensor  # [..., L], nats: log of each diagonal entry of dz_out / dz_in; their sum is its log |det|


FlowStep = Callable[[tf.Tensor, tf.Tensor], FlowResult]  # (z, h) -> z and its log-determinant
Layer = Callable[[tf.Tensor], tf.Tensor]


class MaskedDense(tf.Module):
    """y = x (W * mask) + b, where mask lets input i reach output j iff degree_in[i] <= degree_out[j].

    The degrees are monotone, so the entries of W * mask that are not zero lie on one side of a staircase. W is stored
    in blocks of columns; a block has only the rows that one of its columns sees. The graph computes each block's mask
    from the degrees, so a saved model stores no masks. W is drawn as in `Dense`, times `gain`.
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
        """Maps x [..., inputs] to [..., outputs]."""
        y = []
        for w, (rows, degree_in, degree_out) in zip(self.w, self._blocks, strict=True):
            mask = tf.constant(degree_in)[:, None] <= tf.constant(degree_out)[None, :]
            y.append(tf.matmul(x[..., rows], w * tf.cast(mask, w.dtype)))
        return tf.concat(y, axis=-1) + self.b


class Autoregressive(tf.Module):
    """Masked autoregressive network: each output sees the latents before its own, and the whole context.

        u1 = elu(first(z) + context(h)),   u = elu(deeper(u)),   y_k = output_k(u)

    Args:
      first, deeper, outputs: masked layers, from z to a hidden layer, between hidden layers, and to each output.
      context: the layer from h, which is not masked.
    """

    def __init__(self, first: Layer, context: Layer, deeper: Sequence[Layer], outputs: Sequence[Layer]) -> None:
        super().__init__()
        self.first, self.context, self.deeper, self.outputs = first, context, list(deeper), list(outputs)

    def __call__(self, z: tf.Tensor, h: tf.Tensor) -> list[tf.Tensor]:
        """Maps z and its context h to one array like z per output."""
        u = tf.nn.elu(self.first(z) + self.context(h))
        for layer in self.deeper:
            u = tf.nn.elu(layer(u))
        return [output(u) for output in self.outputs]


class MADE(Autoregressive):
    """The network of z [..., L] and h [..., context] with dense layers.

        u1 = elu(z (W1 * M1) + h C + b1),   u = elu(u (W * M) + b),   y_k = u (Vk * S) + ck

    M1, M and S are the masks of Germain et al. (2015, arXiv 1502.03509); S is strict.

    Args:
      order: position of each of the L latents, 1 .. L or L .. 1, L at least 2.
      hidden: units of a hidden layer. Degrees 0 .. L-1 are spread evenly over them. A unit of degree d sees the
        first d latents; the units of degree 0 pass the context to every output.
      layers: number of hidden layers, at least 1.
      context: size of h, which is not masked.
      biases: initial bias of each output; their number is the number of outputs.
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
        degree = np.arange(hidden) * len(order) // hidden
        super().__init__(
            MaskedDense(order, degree, rng, dtype),
            Dense(context, hidden, rng, dtype),
            [MaskedDense(degree, degree, rng, dtype) for _ in range(layers - 1)],
            [MaskedDense(degree, order - 1, rng, dtype, bias, OUTPUT_GAIN) for bias in biases],
        )


class IAFStep(tf.Module):
    """One step of the flow.

        m, s = MADE(z, h),   g = sigmoid(s),   z' = g z + (1 - g) m,   log det = sum_i log g_i

    The Jacobian is triangular in MADE's order, with g on its diagonal.

    Args:
      made: a network with the two outputs m and s.
    """

    def __init__(self, made: Autoregressive) -> None:
        super().__init__()
        self.made = made

    def __call__(self, z: tf.Tensor, h: tf.Tensor) -> FlowResult:
        """Transforms z [..., L], given h [..., context]."""
        m, s = self.made(z, h)
        gate = tf.sigmoid(s)
        return FlowResult(gate * z + (1.0 - gate) * m, tf.math.log_sigmoid(s))


class LocationStep(IAFStep):
    """A step that only shifts z: z' = z + m, m = MADE(z, h), log det = 0 (section 4, "location-only").

    Args:
      made: a network with the one output m.
    """

    def __call__(self, z: tf.Tensor, h: tf.Tensor) -> FlowResult:
        """Transforms z [..., L], given h [..., context]."""
        (m,) = self.made(z, h)
        return FlowResult(z + m, tf.zeros_like(z))


def flow_step(config: TrainConfig, network: Callable[[Sequence[float]], Autoregressive]) -> FlowStep:
    """Returns the step that `config` describes, with the network whose outputs have these initial biases."""
    if config.iaf_location_only:
        return LocationStep(network([0.0]))
    return IAFStep(network([0.0, config.gate_bias]))
