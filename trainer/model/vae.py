"""The variational autoencoder with inverse autoregressive flow."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.model.distributions import LOGVAR_BOUND, Gaussian, log_normal, smooth_clip
from trainer.model.flows import MADE, FlowStep, flow_step
from trainer.model.latent_model import Joint, LatentModel
from trainer.model.likelihoods import LIKELIHOODS, Likelihood
from trainer.model.networks import MLP, Network
from trainer.model.resnet import ResNetDecoder, ResNetEncoder, smallest_map
from trainer.schema import SettingError
from trainer.settings import TrainConfig
from trainer.shape import Shape


class Encoding(NamedTuple):
    """The encoder's outputs for a batch of images."""

    q0: Gaussian  # q(z0|x), [B, L]: the posterior before the flow
    h: tf.Tensor | None  # [B, H]: context of every IAF step; None without a flow


class Posterior(NamedTuple):
    """A draw from q(z|x)."""

    z: tf.Tensor  # [..., B, L]
    log_q: tf.Tensor  # [..., B, L], nats: each latent's share; they sum to log q(z|x)


class VAE(LatentModel):
    """p(x|z) p(z) with z ~ N(0, I), and q(z|x), a Gaussian pushed through the steps of a flow.

    Args:
      latent_size: number of latents, L.
      encoder: maps [B, D] to loc and logvar [B, L] of q(z0|x) and, with a flow, to its context h [B, H].
      decoder: maps [..., L] to the parameters of the likelihood, one array for each of its outputs.
      likelihood: the family of p(x|z).
      iaf: the steps of the flow in order; without steps the posterior is Gaussian.
    """

    def __init__(
        self,
        latent_size: int,
        encoder: Network,
        decoder: Network,
        likelihood: type[Likelihood],
        iaf: Sequence[FlowStep] = (),
    ) -> None:
        super().__init__(likelihood, np.arange(latent_size))
        self.encoder = encoder
        self.decoder = decoder
        self.iaf = list(iaf)

    def encode(self, x: tf.Tensor) -> Encoding:
        """Computes q(z0|x) and the context h for x [B, D], pixels in [0, 1]."""
        loc, logvar, *context = self.encoder(x)
        q0 = Gaussian(loc, smooth_clip(logvar, -LOGVAR_BOUND, LOGVAR_BOUND))
        return Encoding(q0, context[0] if context else None)

    def reparameterize(self, q0: Gaussian, eps: tf.Tensor) -> tf.Tensor:
        """Returns z0 = mu + sigma eps, [..., B, L], for standard normal eps [..., B, L]."""
        return q0.loc + tf.exp(0.5 * q0.logvar) * eps

    def infer(self, x: tf.Tensor, eps: tf.Tensor) -> Posterior:
        """Draws from q(z|x), once for each row of noise.

            log q(zT|x) = log N(z0; mu, sigma^2) - sum_t log det_t

        Args:
          x: [B, D], pixels in [0, 1].
          eps: [..., B, L], standard normal; axes before B are further draws for the same images.
        """
        q0, h = self.encode(x)
        z = self.reparameterize(q0, eps)
        log_q = log_normal(z, q0.loc, q0.logvar)
        for step in self.iaf:
            z, log_gates = step(z, h)
            log_q -= log_gates
        return Posterior(z, log_q)

    def joint(self, x: tf.Tensor, eps: tf.Tensor) -> Joint:
        """Draws from q(z|x); see LatentModel."""
        z, log_q = self.infer(x, eps)
        return Joint(z, log_q, log_normal(z, tf.zeros_like(z), tf.zeros_like(z)), self.decode(z))

    def decode(self, z: tf.Tensor) -> Likelihood:
        """Returns p(x|z) for z [..., L]."""
        return self.likelihood.from_network(*self.decoder(z))

    def sample(self, eps: tf.Tensor) -> tf.Tensor:
        """Returns mean images, [N, D], of draws eps [N, L] from the prior; the flow belongs to q(z|x) only."""
        return self.decode(eps).mean()


def build_flat(config: TrainConfig, shape: Shape, dtype: tf.DType = tf.float32) -> VAE:
    """Builds the VAE with flat latents, of images of `shape` that `config` describes, with weights drawn from its seed.

    Raises:
      SettingError: latent_maps, and the latents do not divide over the cells of the smallest map.
    """
    if config.latent_maps:
        _check_latent_maps(config, shape)
    rng = np.random.default_rng(config.seed)
    latents, hidden = config.latent_size, config.hidden_size
    encoder_outputs = [latents, latents, hidden] if config.iaf_steps else [latents, latents]
    likelihood = LIKELIHOODS[config.likelihood]
    order = np.arange(1, latents + 1)
    return VAE(
        latents,
        encoder=_encoder(config, shape, encoder_outputs, rng, dtype),
        decoder=_decoder(config, shape, likelihood.outputs(shape.channels), rng, dtype),
        likelihood=likelihood,
        # every other step reverses its order; reversing z between the steps instead would keep XLA from vectorising
        iaf=[_step(config, order[::-1] if k % 2 else order, rng, dtype) for k in range(config.iaf_steps)],
    )


def _check_latent_maps(config: TrainConfig, shape: Shape) -> None:
    rows, columns = smallest_map(shape)
    cells = rows * columns
    for name in ("latent_size", "hidden_size"):
        size = getattr(config, name)
        if size % cells:
            below = size - size % cells
            near = " or ".join(str(multiple) for multiple in (below, below + cells) if multiple)
            valid = f"a multiple of {cells}, cells of a {rows}x{columns} map, with latent_maps and images of {shape}"
            raise SettingError(name, f"{valid}, such as {near}", size)


def _encoder(
    config: TrainConfig, shape: Shape, outputs: list[int], rng: np.random.Generator, dtype: tf.DType
) -> Network:
    if config.encoder == "GaussianResNet":
        return ResNetEncoder(shape, config.channels, config.blocks, config.latent_maps, outputs, rng, dtype)
    return MLP(shape.size, config.hidden_size, outputs, rng, dtype)


def _decoder(
    config: TrainConfig, shape: Shape, outputs: Sequence[int], rng: np.random.Generator, dtype: tf.DType
) -> Network:
    if config.decoder.endswith("ResNet"):
        return ResNetDecoder(
            config.latent_size, shape, config.channels, config.blocks, config.latent_maps, outputs, rng, dtype
        )
    pixels = shape.height * shape.width
    return MLP(config.latent_size, config.hidden_size, [pixels * size for size in outputs], rng, dtype)


def _step(config: TrainConfig, order: np.ndarray, rng: np.random.Generator, dtype: tf.DType) -> FlowStep:
    sizes = config.iaf_hidden_size, config.iaf_layers, config.hidden_size
    return flow_step(config, lambda biases: MADE(order, *sizes, biases, rng, dtype))
