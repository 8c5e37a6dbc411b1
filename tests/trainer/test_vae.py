"""The density of a draw from q(z|x) against SciPy and the change of variables."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from trainer.config import DECODERS
from trainer.vae import build

BATCH, LATENTS, PIXELS = 6, 4, 12


@pytest.fixture
def x():
    return tf.constant(np.random.default_rng(0).uniform(size=[BATCH, PIXELS]), tf.float32)


@pytest.fixture
def eps():
    return tf.constant(np.random.default_rng(1).normal(size=[BATCH, LATENTS]), tf.float32)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("encoder", "GaussianCNN"), ("encoder", "BernoulliMLP"), ("decoder", "BernoulliCNN"), ("decoder", "")],
)
def test_an_unknown_network_is_refused_by_name(kind, name, make_vae):
    with pytest.raises(ValueError, match=f"Unknown {kind} type: {name}"):
        make_vae(**{kind: name})


def test_without_flow_log_q_is_the_density_of_a_gaussian(make_vae, scramble, x, eps):
    vae = scramble(make_vae(iaf_steps=0))
    (loc, logvar), _ = vae.encode(x)
    z, log_q = vae.infer(x, eps)
    expected = scipy.stats.norm.logpdf(z.numpy().astype(float), loc, np.exp(0.5 * logvar.numpy())).sum(axis=-1)
    np.testing.assert_allclose(z, loc + np.exp(0.5 * logvar) * eps, rtol=1e-5)
    np.testing.assert_allclose(log_q, expected, rtol=1e-5)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_log_q_follows_from_the_noise_by_change_of_variables(steps, make_vae, scramble, x, eps):
    vae = scramble(make_vae(iaf_steps=steps))
    with tf.GradientTape() as tape:
        tape.watch(eps)
        z, log_q = vae.infer(x, eps)
    volume = np.linalg.slogdet(tape.batch_jacobian(z, eps).numpy().astype(float))[1]
    expected = scipy.stats.norm.logpdf(eps.numpy().astype(float)).sum(axis=-1) - volume
    assert np.std(volume) > 0.1, "the images must differ, or the law is empty"
    np.testing.assert_allclose(log_q, expected, atol=2e-4)


def test_the_flow_sees_the_image_through_its_context(make_vae, scramble, x, eps):
    vae = scramble(make_vae())
    (loc, logvar), h = vae.encode(x)
    z = loc + tf.exp(0.5 * logvar) * eps
    for step in vae.iaf:
        z = step(z, h).z
    np.testing.assert_allclose(vae.infer(x, eps).z, z, rtol=1e-5)
    scramble(vae._context, seed=9)
    assert np.all(np.any(vae.infer(x, eps).z != z, axis=-1))


def test_several_draws_at_once_are_those_draws_one_by_one(make_vae, scramble, x):
    vae = scramble(make_vae())
    draws = tf.random.stateless_normal([5, BATCH, LATENTS], [0, 0])
    z, log_q = vae.infer(x, draws)
    assert (z.shape, log_q.shape) == ((5, BATCH, LATENTS), (5, BATCH))
    for k, eps in enumerate(draws):
        one = vae.infer(x, eps)
        np.testing.assert_allclose(z[k], one.z, atol=1e-5)
        np.testing.assert_allclose(log_q[k], one.log_q, atol=1e-4)


@pytest.mark.parametrize("decoder", DECODERS)
def test_samples_come_from_the_prior_and_not_through_the_flow(decoder, make_vae, scramble, x, eps):
    vae = scramble(make_vae(decoder=decoder))
    images, z = vae.sample(eps), vae.infer(x, eps).z
    np.testing.assert_array_equal(images, vae.decode(eps).mean())
    for step in vae.iaf:
        scramble(step, seed=9)
    np.testing.assert_array_equal(vae.sample(eps), images)
    assert np.any(vae.infer(x, eps).z != z)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_every_weight_of_the_model_gets_a_gradient(decoder, steps, make_vae, x, eps):
    vae = make_vae(decoder=decoder, iaf_steps=steps)
    with tf.GradientTape() as tape:
        z, log_q = vae.infer(x, eps)
        loss = tf.reduce_sum(log_q - vae.decode(z).log_prob(x) + 0.5 * tf.reduce_sum(z**2, axis=-1))
    gradients = tape.gradient(loss, vae.trainable_variables)
    assert all(gradient is not None and np.any(gradient) for gradient in gradients)


def test_the_seed_decides_every_weight(tiny_config, weights_of):
    first, again = (weights_of(build(tiny_config, PIXELS)) for _ in range(2))
    other = weights_of(build(dataclasses.replace(tiny_config, seed=1), PIXELS))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.ndim == 1 or not np.any(a == c), "only biases start the same"


@pytest.mark.parametrize("decoder", DECODERS)
def test_build_takes_every_size_from_the_config(decoder, tiny_config, eps, x):
    config = dataclasses.replace(
        tiny_config, decoder=decoder, latent_size=LATENTS, hidden_size=7, iaf_hidden_size=5, iaf_steps=4
    )
    vae = build(config, PIXELS)
    assert vae.encode(x).h.shape == (BATCH, config.hidden_size)
    assert vae.infer(x, eps).z.shape == (BATCH, config.latent_size)
    assert vae.sample(eps).shape == (BATCH, PIXELS)
    assert len(vae.iaf) == config.iaf_steps
    assert vae.iaf[0].made.context.w.shape == (config.hidden_size, config.iaf_hidden_size)
    assert vae.likelihood.__name__ + "MLP" == decoder
