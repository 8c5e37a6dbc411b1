"""The bound against what it bounds, where that can be computed some other way."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from trainer.config import DECODERS
from trainer.distributions import Gaussian, log_normal_pdf
from trainer.objective import single_sample_elbo
from trainer.vae import Posterior

PIXELS = 12


@pytest.fixture
def x():
    """Black-and-white images, of which Bernoulli is a probability."""
    return tf.constant(np.random.default_rng(0).integers(0, 2, [3, PIXELS]), tf.float32)


def noise(*shape):
    return tf.random.stateless_normal(shape, [0, 0])


@pytest.mark.parametrize("decoder", DECODERS)
def test_elbo_is_reconstruction_less_kl(decoder, make_vae, scramble, x):
    vae, eps = scramble(make_vae(decoder=decoder)), noise(5, 3, 4)
    elbo, reconstruction, kl = single_sample_elbo(vae, x, eps)
    assert elbo.shape == reconstruction.shape == kl.shape == (5, 3)
    np.testing.assert_allclose(elbo, reconstruction - kl, rtol=1e-6)
    np.testing.assert_allclose(reconstruction, vae.decode(vae.infer(x, eps).z).log_prob(x), rtol=1e-6)


def test_mean_kl_without_flow_is_its_closed_form(make_vae, scramble, x):
    vae, draws = scramble(make_vae(iaf_steps=0)), 20_000
    (loc, logvar), _ = vae.encode(x)
    closed = 0.5 * np.sum(loc**2 + np.exp(logvar) - logvar - 1.0, axis=-1)
    kl = single_sample_elbo(vae, x, noise(draws, 3, 4)).kl.numpy()
    assert np.all(np.abs(kl.mean(axis=0) - closed) < 4.0 * kl.std(axis=0) / np.sqrt(draws))


@pytest.fixture
def two_latents(make_vae, scramble):
    """A model with a flow, small enough to integrate z out; q(z|x) is wide, so that weights have a small variance."""
    vae = scramble(make_vae(latent_size=2, iaf_steps=2, gate_bias=3.0))
    vae._encoder.logvar.b.assign([1.0, 1.0])
    for step in vae.iaf:
        step.made.s.b.assign([3.0, 3.0])
    return vae


@pytest.fixture
def evidence(two_latents, x):
    """log p(x) = log of the integral of p(x|z) p(z) over a grid of z, [3]."""
    axis, width = np.linspace(-8.0, 8.0, 321, retstep=True)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 1, 2)
    log_joint = two_latents.decode(tf.constant(grid, tf.float32)).log_prob(x).numpy() + scipy.stats.norm.logpdf(
        grid
    ).sum(-1)
    return scipy.special.logsumexp(log_joint, axis=0) + 2.0 * np.log(width)


def test_the_mean_weight_is_the_evidence(two_latents, evidence, x):
    draws = 50_000
    weights = np.exp(single_sample_elbo(two_latents, x, noise(draws, 3, 2)).elbo.numpy().astype(float) - evidence)
    error = weights.std(axis=0) / np.sqrt(draws)
    assert np.all(error < 0.02), "too few draws for the law to mean something"
    assert np.all(np.abs(weights.mean(axis=0) - 1.0) < 4.0 * error)


def test_the_bound_is_below_the_evidence_and_rises_towards_it_with_more_draws(two_latents, evidence, x):
    log_weights = single_sample_elbo(two_latents, x, noise(500, 64, 3, 2)).elbo.numpy().astype(float)
    bounds = [(scipy.special.logsumexp(log_weights[:, :k], axis=1) - np.log(k)).mean(axis=0) for k in (1, 8, 64)]
    assert np.all(bounds[0] < bounds[1])
    assert np.all(bounds[1] < bounds[2])
    assert np.all(bounds[2] < evidence + 1e-2)


class ExactPosterior:
    """p(x|z) = N(W z, v I) with orthogonal columns of W, whose posterior is a diagonal Gaussian in closed form."""

    def __init__(self, w, variance):
        self.w, self.variance = w, variance
        self.posterior_variance = 1.0 / (1.0 + np.sum(w**2, axis=0) / variance)

    def infer(self, x, eps):
        loc = self.posterior_variance * (x @ self.w) / self.variance
        z = loc + np.sqrt(self.posterior_variance) * eps
        return Posterior(z, log_normal_pdf(z, loc, tf.constant(np.log(self.posterior_variance))))

    def decode(self, z):
        return Gaussian(z @ self.w.T, tf.fill([len(self.w)], tf.constant(np.log(self.variance), tf.float64)))


def test_an_exact_posterior_makes_every_draw_the_evidence():
    rng = np.random.default_rng(0)
    w = np.linalg.qr(rng.normal(size=[PIXELS, 4]))[0] * [3.0, 2.0, 1.0, 0.5]
    x = rng.normal(size=[5, PIXELS])
    evidence = scipy.stats.multivariate_normal(np.zeros(PIXELS), w @ w.T + 0.3 * np.eye(PIXELS)).logpdf(x)
    eps = tf.constant(rng.normal(size=[7, 5, 4]))
    elbo = single_sample_elbo(ExactPosterior(w, 0.3), tf.constant(x), eps).elbo
    np.testing.assert_allclose(elbo, np.broadcast_to(evidence, [7, 5]), rtol=1e-10)
