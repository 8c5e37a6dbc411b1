"""The variational autoencoder with inverse autoregressive flow."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.config import TrainConfig
from trainer.distributions import Bernoulli, Gaussian, log_normal_pdf
from trainer.flows import MADE, IAFStep
from trainer.networks import Dense, GaussianMLP, build_decoder


class Encoding(NamedTuple):
    """What the encoder says of an image."""

    q0: Gaussian  # q(z0|x), [B, L]: the posterior before the flow
    h: tf.Tensor  # [B, H]: context of every IAF step


class Posterior(NamedTuple):
    """A draw from q(z|x)."""

    z: tf.Tensor  # [..., B, L]
    log_q: tf.Tensor  # [..., B], nats: log q(z|x)


class VAE(tf.Module):
    """p(x|z) p(z) with z ~ N(0, I), and q(z|x) a Gaussian pushed through IAF steps.

    Args:
      image_size: pixels of an image, D.
      latent_size: latents, L.
      hidden_size: width of encoder, context h and decoder, H.
      encoder: 'GaussianMLP'.
      decoder: 'BernoulliMLP' or 'GaussianMLP'.
      iaf_steps, iaf_hidden_size, gate_bias: the flow; no steps leave the posterior Gaussian.
      rng: source of the initial weights.

    Raises:
      ValueError: unknown encoder or decoder.
    """

    def __init__(
        self,
        image_size: int,
        latent_size: int,
        hidden_size: int,
        encoder: str,
        decoder: str,
        iaf_steps: int,
        iaf_hidden_size: int,
        gate_bias: float,
        rng: np.random.Generator,
    ) -> None:
        super().__init__()
        if encoder != "GaussianMLP":
            raise ValueError(f"Unknown encoder type: {encoder}")
        self.latent_size = latent_size
        self._encoder = GaussianMLP(image_size, hidden_size, latent_size, rng)
        self._decoder = build_decoder(decoder, latent_size, hidden_size, image_size, rng)
        self._context = Dense(hidden_size, hidden_size, rng) if iaf_steps else None
        self._iaf = [IAFStep(MADE(latent_size, iaf_hidden_size, hidden_size, gate_bias, rng)) for _ in range(iaf_steps)]

    @property
    def iaf(self) -> list[IAFStep]:
        """The steps of the flow, in the order in which z passes them."""
        return self._iaf

    @property
    def likelihood(self) -> type[Bernoulli] | type[Gaussian]:
        """The family of p(x|z)."""
        return self._decoder.likelihood

    def encode(self, x: tf.Tensor) -> Encoding:
        """x: [B, D], pixels in [0, 1]."""
        features = self._encoder.features(x)
        h = self._context(features) if self._context else features
        return Encoding(self._encoder.head(features), h)

    def reparameterize(self, q0: Gaussian, eps: tf.Tensor) -> tf.Tensor:
        """z0 = mu + sigma eps, [..., B, L], for standard normal eps of that shape."""
        return q0.loc + tf.exp(0.5 * q0.logvar) * eps

    def infer(self, x: tf.Tensor, eps: tf.Tensor) -> Posterior:
        """A draw from q(z|x) for each row of noise.

            log q(zT|x) = log N(z0; mu, sigma^2) - sum_t log det_t

        Args:
          x: [B, D], pixels in [0, 1].
          eps: [..., B, L], standard normal; axes before B are several draws for the same images.
        """
        q0, h = self.encode(x)
        z = self.reparameterize(q0, eps)
        log_q = log_normal_pdf(z, q0.loc, q0.logvar)
        for step in self._iaf:
            z, log_det = step(z, h)
            log_q -= log_det
        return Posterior(z, log_q)

    def decode(self, z: tf.Tensor) -> Bernoulli | Gaussian:
        """p(x|z) for z [..., L]."""
        return self._decoder(z)

    def sample(self, eps: tf.Tensor) -> tf.Tensor:
        """Mean images, [N, D], of draws eps [N, L] from the prior. The flow belongs to q(z|x) and has no part."""
        return self.decode(eps).mean()


def build(config: TrainConfig, image_size: int) -> VAE:
    """The VAE that `config` describes, with weights drawn from its seed."""
    return VAE(
        image_size=image_size,
        latent_size=config.latent_size,
        hidden_size=config.hidden_size,
        encoder=config.encoder,
        decoder=config.decoder,
        iaf_steps=config.iaf_steps,
        iaf_hidden_size=config.iaf_hidden_size,
        gate_bias=config.gate_bias,
        rng=np.random.default_rng(config.seed),
    )
