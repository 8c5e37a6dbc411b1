"""The ladder: its laws, draws, shapes and groups."""

import ladder_laws
import laws
import numpy as np
import pytest
import tensorflow as tf

from trainer.model.objective import draw
from trainer.settings import DECODERS
from trainer.shape import Shape

BATCH = 3


@pytest.mark.parametrize("law", ladder_laws.LAWS, ids=lambda law: law.__name__)
def test_law(law):
    law()


def test_several_draws_at_once_are_those_draws_one_by_one():
    model, x = ladder_laws.small_ladder(), ladder_laws.black_and_white(BATCH)
    draws = laws.normal(2, 2, BATCH, model.latent_size)
    z, log_q, log_prior, pixels = model.joint(x, draws)
    assert z.shape == log_q.shape == log_prior.shape == draws.shape
    for at in np.ndindex(2, 2):
        one = model.joint(x, draws[at])
        for found, expected in ((z, one.z), (log_q, one.log_q), (log_prior, one.log_prior)):
            np.testing.assert_allclose(found[at], expected, rtol=1e-10)
        np.testing.assert_allclose(pixels.logits[at], one.pixels.logits, rtol=1e-10)


def test_a_group_is_a_feature_map_of_a_layer():
    np.testing.assert_array_equal(ladder_laws.small_ladder().groups, [0, 1, 2, 3, *[4, 5] * 4])
    np.testing.assert_array_equal(
        ladder_laws.small_ladder(ladder_layers=2).groups, [*range(8), *[8, 9] * 4, *[10, 11] * 4]
    )


@pytest.mark.parametrize("decoder", [name for name in DECODERS if name.endswith("Ladder")])
@pytest.mark.parametrize("shape", [Shape(1, 1, 1), Shape(13, 6, 4)], ids=str)
def test_a_ladder_takes_images_of_any_shape(decoder, shape):
    model = ladder_laws.small_ladder(shape, scale=0.1, decoder=decoder)
    x = tf.constant(np.random.default_rng(0).integers(0, 256, [BATCH, shape.size]) / 255.0)
    eps = laws.normal(2, BATCH, model.latent_size)
    bound = draw(model, x, eps).elbo().elbo
    assert bound.shape == (2, BATCH)
    assert np.all(np.isfinite(bound))
    assert model.sample(eps[0]).shape == (BATCH, shape.size)
    assert model.likelihood.__name__.startswith(decoder.removesuffix("Ladder"))


@pytest.mark.parametrize("bias", [-1e30, 1e30])
def test_no_log_variance_is_too_large_for_a_finite_bound(bias):
    model, x = ladder_laws.small_ladder(), ladder_laws.black_and_white(BATCH)
    for layer in model._layers:
        logvars = np.arange(ladder_laws.LATENTS, 2 * ladder_laws.LATENTS)  # after the locations
        for conv in (layer.above, layer.below):
            conv.b.assign(np.where(np.isin(np.arange(conv.b.shape[0]), logvars), bias, conv.b))
    with tf.GradientTape() as tape:
        bound = draw(model, x, laws.normal(BATCH, model.latent_size)).elbo().elbo
    for value in (bound, *tape.gradient(bound, model.trainable_variables)):
        assert np.all(np.isfinite(value))


@pytest.mark.parametrize("layers", [1, 2])
def test_the_latents_are_those_of_the_scales_and_decode_to_the_pixels_of_their_draw(layers):
    model, x = ladder_laws.small_ladder(ladder_layers=layers), ladder_laws.black_and_white(BATCH)
    assert list(model.scales.values()) == [4 * layers, 8 * layers], "the coarser scale first"
    assert sum(model.scales.values()) == model.latent_size
    z, *_, pixels = model.joint(x, laws.normal(BATCH, model.latent_size))
    np.testing.assert_allclose(model.decode(z).logits, pixels.logits, rtol=1e-8)
