"""The blocks of the ladder: a masked convolution, the network of an IAF step, and a stochastic layer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.model.distributions import LOGVAR_BOUND, Gaussian, log_normal, smooth_clip
from trainer.model.flows import OUTPUT_GAIN, Autoregressive, FlowStep
from trainer.model.resnet import Conv

SIDE = 3  # of every kernel
WIDEST = 2.0  # log variance of p and of q in units of p: a wider draw carries nothing and can blow up what is below it
ABSORB_GAIN = 0.1  # a new layer hardly changes its input, so that many of them train


class MaskedConv(Conv):
    """A padded 3x3 convolution whose output at a cell sees the cells before it, and some channels of the cell itself.

    Channel i of a cell reaches its own cell's channel j iff degree_in[i] <= degree_out[j]. Cells are in reading order.

    Args:
      backwards: whether the order of the cells is reversed.
    """

    def __init__(
        self,
        degree_in: np.ndarray,
        degree_out: np.ndarray,
        backwards: bool,
        rng: np.random.Generator,
        dtype: tf.DType,
        bias: float = 0.0,
        gain: float = 1.0,
    ) -> None:
        super().__init__(len(degree_in), len(degree_out), SIDE, 1, rng, dtype, gain)
        self.b.assign(tf.fill(self.b.shape, tf.constant(bias, dtype)))
        self._degrees, self._backwards = (degree_in, degree_out), backwards

    def kernel(self) -> tf.Tensor:
        """Returns the weights times their mask."""
        degree_in, degree_out = map(tf.constant, self._degrees)
        centre = tf.cast(degree_in[:, None] <= degree_out[None, :], self.w.dtype)
        seen, hidden = tf.ones_like(centre), tf.zeros_like(centre)
        cells = [seen] * 4 + [centre] + [hidden] * 4
        mask = tf.stack(cells[::-1] if self._backwards else cells)
        return self.w * tf.reshape(mask, self.w.shape)


class MaskedConvs(Autoregressive):
    """The network of z [N, H, W, channels] and h [N, H, W, context] with masked convolutions.

        u1 = elu(z * (W1 M1) + h * C + b1),   u = elu(u * (W M) + b),   y_k = u * (Vk S) + ck

    The order runs over the cells and, within a cell, over its channels. Context h is not masked. This is the network
    of Kingma et al. (2016, arXiv 1606.04934, appendix C.4); masked convolutions are those of van den Oord et al. (2016,
    arXiv 1601.06759).

    Args:
      channels: latent channels of a cell.
      backwards: whether the order of cells and channels is reversed.
      hidden: feature maps of a hidden layer. Degrees are spread evenly over them, as in MADE.
      layers: number of hidden layers, at least 1.
      context: feature maps of h.
      biases: initial bias of each output; their number is the number of outputs.
    """

    def __init__(
        self,
        channels: int,
        backwards: bool,
        hidden: int,
        layers: int,
        context: int,
        biases: Sequence[float],
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
    ) -> None:
        order = np.arange(1, channels + 1)[:: -1 if backwards else 1]
        degree = np.arange(hidden) * channels // hidden
        super().__init__(
            MaskedConv(order, degree, backwards, rng, dtype),
            Conv(context, hidden, 1, 1, rng, dtype),
            [MaskedConv(degree, degree, backwards, rng, dtype) for _ in range(layers - 1)],
            [MaskedConv(degree, order - 1, backwards, rng, dtype, bias, OUTPUT_GAIN) for bias in biases],
        )


class Prior(NamedTuple):
    """What a layer knows from the layers above it."""

    p: Gaussian  # p(z_l | z_<l), [N, H, W, Z]
    q: tf.Tensor  # [N, H, W, 2 Z + F]: its part of the posterior's parameters and context
    features: tf.Tensor  # [N, H, W, C]


class LayerDraw(NamedTuple):
    """A layer's draw of z, and its densities; all [N, H, W, Z], nats."""

    z: tf.Tensor
    log_q: tf.Tensor  # of q(z_l | z_<l, x)
    log_prior: tf.Tensor  # of p(z_l | z_<l)


class StochasticLayer(tf.Module):
    """One group of latents: its prior, its posterior, and what the path downwards takes from it.

        p(z|above)  = N(mu_p, sigma_p^2),          from the features h of the path downwards
        q(u0)       = N(mu, sigma^2),              from h and from the features d of the image
        u           = the flow of u0,              z = mu_p + sigma_p u
        h'          = h + conv(elu(features of h), z)

    The posterior is in units of the prior, so its KL, that of u to N(0, I), does not explode where sigma_p is small.

    Args:
      channels: C, feature maps of h and d.
      latents: Z, latent channels.
      context: F, feature maps of the context of the flow; 0 without one.
      steps: of the flow.
    """

    def __init__(
        self,
        channels: int,
        latents: int,
        context: int,
        steps: Sequence[FlowStep],
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
    ) -> None:
        super().__init__()
        self._sizes = [latents, latents, 2 * latents + context, channels]
        self._latents = latents
        self.below = Conv(channels, 2 * latents + context, SIDE, 1, rng, dtype, gain=0.5)
        self.above = Conv(channels, sum(self._sizes), SIDE, 1, rng, dtype, gain=0.5)
        self.absorbing = Conv(channels + latents, channels, SIDE, 1, rng, dtype, gain=ABSORB_GAIN)
        self.steps = list(steps)

    def look_below(self, d: tf.Tensor) -> tf.Tensor:
        """Returns the image's part of the posterior's parameters and context, [N, H, W, 2 Z + F].

        Args:
          d: [N, H, W, C], features of the path upwards.
        """
        return self.below(tf.nn.elu(d))

    def look_above(self, h: tf.Tensor) -> Prior:
        """Computes the prior from the features h [N, H, W, C] of the path downwards."""
        loc, logvar, q, features = tf.split(self.above(tf.nn.elu(h)), self._sizes, axis=-1)
        return Prior(Gaussian(loc, _clipped(logvar)), q, features)

    def infer(self, prior: Prior, below: tf.Tensor, eps: tf.Tensor) -> LayerDraw:
        """Draws from the posterior, with noise eps [N, H, W, Z]."""
        loc, logvar, h = tf.split(prior.q + below, [self._latents, self._latents, -1], axis=-1)
        logvar = _clipped(logvar)
        u = loc + tf.exp(0.5 * logvar) * eps
        log_q = log_normal(u, loc, logvar)
        for step in self.steps:
            u, log_gates = step(u, h)
            log_q -= log_gates
        volume = 0.5 * prior.p.logvar
        return LayerDraw(
            prior.p.loc + tf.exp(volume) * u, log_q - volume, log_normal(u, tf.zeros_like(u), tf.zeros_like(u)) - volume
        )

    def absorb(self, h: tf.Tensor, prior: Prior, z: tf.Tensor) -> tf.Tensor:
        """Returns the features below the layer, [N, H, W, C]."""
        return h + self.absorbing(tf.concat([tf.nn.elu(prior.features), z], axis=-1))


def _clipped(logvar: tf.Tensor) -> tf.Tensor:
    return smooth_clip(logvar, -LOGVAR_BOUND, WIDEST)
