"""Posterior, generation and construction of the VAE."""

import dataclasses

import laws
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from trainer.model.build import build
from trainer.model.distributions import LOGVAR_BOUND
from trainer.model.flows import IAFStep, LocationStep
from trainer.model.objective import draw
from trainer.schema import SettingError
from trainer.settings import DECODERS, ENCODERS
from trainer.shape import Shape

BATCH, LATENTS, PIXELS = 6, 4, 12
MLP_DECODERS = [name for name in DECODERS if name.endswith("MLP")]


@pytest.fixture
def x():
    return tf.constant(np.random.default_rng(0).uniform(size=[BATCH, PIXELS]))


@pytest.fixture
def eps():
    return laws.normal(BATCH, LATENTS)


@pytest.fixture
def make(make_vae):
    return lambda **settings: make_vae(dtype=tf.float64, **settings)


@pytest.mark.parametrize("law", laws.OF_THE_POSTERIOR, ids=lambda law: law.__name__)
def test_law(law):
    law()


def test_without_flow_log_q_is_the_density_of_a_gaussian(make, scramble, x, eps):
    vae = scramble(make(iaf_steps=0))
    (loc, logvar), h = vae.encode(x)
    z, log_q = vae.infer(x, eps)
    assert h is None
    np.testing.assert_allclose(z, loc + np.exp(0.5 * logvar) * eps, rtol=1e-12)
    np.testing.assert_allclose(log_q, scipy.stats.norm.logpdf(z, loc, np.exp(0.5 * logvar)), rtol=1e-10)


def test_the_flow_sees_the_image_through_its_context(make, scramble, x, eps):
    vae = scramble(make())
    (loc, logvar), h = vae.encode(x)
    z = loc + tf.exp(0.5 * logvar) * eps
    for step in vae.iaf:
        z = step(z, h).z
    np.testing.assert_allclose(vae.infer(x, eps).z, z, rtol=1e-12)
    before = vae.infer(x, eps).z
    scramble(vae.encoder.heads[2], seed=9)
    assert np.all(np.any(vae.infer(x, eps).z != before, axis=-1))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_flow_that_moves_nothing_leaves_every_latent_in_its_place(steps, make, scramble, x, eps):
    vae = make(iaf_steps=steps, iaf_location_only=True)
    for variable in (variable for step in vae.iaf for variable in step.variables):
        variable.assign(tf.zeros_like(variable))
    (loc, logvar), _ = vae.encode(x)
    np.testing.assert_allclose(vae.infer(x, eps).z, loc + tf.exp(0.5 * logvar) * eps, rtol=1e-12)


def test_several_draws_at_once_are_those_draws_one_by_one(make, scramble, x):
    vae, draws = scramble(make()), laws.normal(5, BATCH, LATENTS)
    z, log_q = vae.infer(x, draws)
    assert z.shape == log_q.shape == (5, BATCH, LATENTS)
    for k, eps in enumerate(draws):
        one = vae.infer(x, eps)
        np.testing.assert_allclose(z[k], one.z, rtol=1e-10)
        np.testing.assert_allclose(log_q[k], one.log_q, rtol=1e-10)


@pytest.mark.parametrize("decoder", MLP_DECODERS)
def test_samples_do_not_change_with_the_encoder_and_the_flow(decoder, make, scramble, x, eps):
    vae = scramble(make(decoder=decoder))
    images, z = vae.sample(eps), vae.infer(x, eps).z
    np.testing.assert_array_equal(images, vae.decode(eps).mean())
    for part in (vae.encoder, *vae.iaf):
        scramble(part, seed=9)
    np.testing.assert_array_equal(vae.sample(eps), images)
    assert np.any(vae.infer(x, eps).z != z)


@pytest.mark.parametrize("decoder", MLP_DECODERS)
@pytest.mark.parametrize("scale", [1e6, 1e30])
def test_no_log_variance_or_scale_is_too_large_for_a_finite_bound(scale, decoder, make_vae, scramble, x, eps):
    vae = scramble(make_vae(decoder=decoder))
    for head in (vae.encoder.heads[1], *vae.decoder.heads[1:]):
        scramble(head, scale)
    x, eps = tf.cast(x, tf.float32), tf.cast(eps, tf.float32)
    with tf.GradientTape() as tape:
        bound = draw(vae, x, eps).elbo().elbo
    (_, logvar), _ = vae.encode(x)
    np.testing.assert_allclose(np.abs(logvar), np.full([BATCH, LATENTS], LOGVAR_BOUND), atol=1e-3)
    for value in (bound, *tape.gradient(bound, vae.trainable_variables)):
        assert np.all(np.isfinite(value))


@pytest.mark.parametrize("decoder", MLP_DECODERS)
@pytest.mark.parametrize("flow", [{"iaf_steps": 0}, {"iaf_steps": 1}, {"iaf_layers": 2}, {"iaf_location_only": True}])
def test_every_weight_of_the_model_gets_a_gradient(decoder, flow, make, x, eps):
    vae = make(decoder=decoder, **flow)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(draw(vae, x, eps).elbo().elbo)
    gradients = tape.gradient(loss, vae.trainable_variables)
    assert all(gradient is not None and np.any(gradient) for gradient in gradients)


def test_the_seed_decides_every_weight(tiny_config, weights_of):
    first, again = (weights_of(build(tiny_config, Shape(2, 2, 3))) for _ in range(2))
    other = weights_of(build(dataclasses.replace(tiny_config, seed=1), Shape(2, 2, 3)))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.ndim == 1 or not np.any(a == c), "only biases start the same"


@pytest.mark.parametrize("decoder", MLP_DECODERS)
@pytest.mark.parametrize("kind", [IAFStep, LocationStep])
def test_build_takes_every_size_from_the_config(decoder, kind, make, eps, x):
    vae = make(
        decoder=decoder,
        hidden_size=7,
        iaf_hidden_size=5,
        iaf_steps=4,
        iaf_layers=3,
        gate_bias=0.7,
        iaf_location_only=kind is LocationStep,
    )
    assert vae.encode(x).h.shape == (BATCH, 7)
    assert vae.infer(x, eps).z.shape == (BATCH, LATENTS)
    assert vae.sample(eps).shape == (BATCH, PIXELS)
    assert [type(step) for step in vae.iaf] == [kind] * 4
    for made in (step.made for step in vae.iaf):
        assert made.context.w.shape == (5, 7)  # the longer side last
        assert len(made.deeper) == 2
        assert [output.b[0] for output in made.outputs] == [0.0, 0.7][: len(made.outputs)]
    assert vae.likelihood.__name__.startswith(decoder.removesuffix("MLP"))


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if not name.endswith("Ladder")])
@pytest.mark.parametrize("decoder", [name for name in DECODERS if name.endswith("ResNet")])
@pytest.mark.parametrize("shape", [Shape(32, 32, 3), Shape(13, 6, 1)], ids=str)
def test_a_resnet_takes_the_place_of_an_mlp(encoder, decoder, shape, make, scramble, eps):
    vae = scramble(make(encoder=encoder, decoder=decoder, shape=shape), 0.1)
    x = tf.constant(np.random.default_rng(0).integers(0, 256, [BATCH, shape.size]) / 255.0)
    bound = draw(vae, x, tf.stack([eps, -eps])).elbo().elbo
    assert bound.shape == (2, BATCH)
    assert np.all(np.isfinite(bound))
    assert vae.sample(eps).shape == (BATCH, shape.size)


@pytest.mark.parametrize(
    ("shape", "sizes", "setting", "near"),
    [
        (Shape(32, 32, 3), {"latent_size": 65}, "latent_size", "64 or 128"),
        (Shape(32, 32, 3), {"hidden_size": 32}, "hidden_size", "such as 64"),
        (Shape(28, 28, 1), {}, "latent_size", "49 or 98"),
        (Shape(13, 6, 1), {"latent_size": 8, "hidden_size": 9}, "hidden_size", "8 or 16"),
    ],
    ids=str,
)
def test_latent_maps_divide_over_the_cells_of_the_smallest_map(shape, sizes, setting, near, make):
    maps = {"encoder": "GaussianResNet", "decoder": "BernoulliResNet", "latent_maps": True}
    with pytest.raises(SettingError) as error:
        make(shape=shape, **{"latent_size": 64, "hidden_size": 64} | maps | sizes)
    assert error.value.setting == setting
    assert near in error.value.failure.valid
