"""The bound against the evidence, where that can be computed in another way."""

import laws
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from trainer.model.objective import draw, elbo, importance_weighted_bound
from trainer.settings import DECODERS

MLP_DECODERS = [name for name in DECODERS if name.endswith("MLP")]


@pytest.fixture
def x():
    return laws.black_and_white()


@pytest.mark.parametrize("law", laws.OF_THE_BOUND, ids=lambda law: law.__name__)
def test_law(law):
    law()


@pytest.mark.parametrize("decoder", MLP_DECODERS)
def test_elbo_is_reconstruction_less_kl(decoder, x):
    vae, eps = laws.small_vae(decoder=decoder), laws.normal(5, 3, laws.LATENTS)
    bound, reconstruction, kl = draw(vae, x, eps).elbo()
    assert bound.shape == reconstruction.shape == kl.shape == (5, 3)
    np.testing.assert_allclose(bound, reconstruction - kl, rtol=1e-12)
    np.testing.assert_allclose(reconstruction, vae.decode(vae.infer(x, eps).z).log_prob(x), rtol=1e-12)


@pytest.mark.parametrize("decoder", MLP_DECODERS)
def test_the_elbo_of_several_draws_is_their_mean(decoder, x):
    vae, eps = laws.small_vae(decoder=decoder), laws.normal(5, 3, laws.LATENTS)
    one_by_one = [draw(vae, x, eps[k]).elbo() for k in range(5)]
    for part, parts in zip(elbo(vae, x, eps), zip(*one_by_one, strict=True), strict=True):
        assert part.shape == (3,)
        np.testing.assert_allclose(part, np.mean(parts, axis=0), rtol=1e-12)


def test_without_a_flow_drawn_kls_agree_with_the_closed_form(x):
    vae, draws = laws.small_vae(iaf_steps=0), 20_000
    (loc, logvar), _ = vae.encode(x)
    closed = 0.5 * (loc**2 + np.exp(logvar) - logvar - 1.0).numpy()
    sample = draw(vae, x, laws.normal(draws, 3, laws.LATENTS))
    for kl, expected in ((sample.kl.numpy(), closed), (sample.elbo().kl.numpy(), closed.sum(axis=-1))):
        assert np.all(np.abs(kl.mean(axis=0) - expected) < 4.0 * kl.std(axis=0) / np.sqrt(draws))


def test_the_importance_weighted_bound_is_the_log_of_the_mean_weight():
    log_weights = laws.normal(7, 3) - 2000.0
    expected = scipy.special.logsumexp(log_weights, axis=0, b=1.0 / 7.0)
    np.testing.assert_allclose(importance_weighted_bound(log_weights), expected, rtol=1e-14)


def test_an_images_bound_is_its_own_in_any_order_and_with_any_padding():
    vae, x, eps = laws.small_vae(), laws.black_and_white(6), laws.normal(2, 6, laws.LATENTS)
    whole, order = draw(vae, x, eps).elbo().elbo.numpy(), [4, 0, 5]
    junk, noise = tf.fill([3, laws.PIXELS], tf.constant(1e3, x.dtype)), 9.0 * laws.normal(2, 3, laws.LATENTS)
    padded = tf.concat([tf.gather(x, order), junk], 0), tf.concat([tf.gather(eps, order, axis=1), noise], 1)
    np.testing.assert_allclose(draw(vae, *padded).elbo().elbo[:, :3], whole[:, order], rtol=1e-12)
