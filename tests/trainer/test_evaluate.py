"""An image's ELBO does not depend on what it is evaluated with."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

import trainer.evaluate
from trainer.evaluate import Evaluator, evaluate_latents, image_elbo, image_noise, quality
from trainer.images import ImageSet, to_unit_interval
from trainer.model.build import build
from trainer.model.likelihoods import Bernoulli
from trainer.model.objective import draw
from trainer.model.vae import VAE
from trainer.shape import Shape

COUNT, SAMPLES, LATENTS = 20, 3, 8


@pytest.fixture
def images(make_images):
    return make_images(COUNT)


@pytest.fixture
def model(tiny_config, scramble):
    """A model whose ELBOs are far below the ceiling, which does not matter for these tests."""
    return scramble(build(tiny_config, Shape(32, 32, 3)), scale=0.3)


@pytest.fixture
def whole(model, images):
    """The ELBOs of all images as one batch."""
    return image_elbo(model, to_unit_interval(images.pixels), tf.constant(images.noise_seeds), SAMPLES)


@pytest.mark.parametrize("batch_size", [1, 7, COUNT])
def test_an_images_elbo_does_not_depend_on_its_batch(batch_size, model, images, whole):
    order = np.random.default_rng(0).permutation(COUNT)
    for start in range(0, COUNT, batch_size):
        chosen = order[start : start + batch_size]
        x, seeds = to_unit_interval(images.pixels[chosen]), tf.constant(images.noise_seeds[chosen])
        for part, expected in zip(image_elbo(model, x, seeds, SAMPLES), whole, strict=True):
            np.testing.assert_allclose(part, expected.numpy()[chosen], rtol=1e-6, atol=1e-3)


def test_an_images_elbo_is_the_mean_of_its_draws(model, images, whole):
    x, noise = to_unit_interval(images.pixels), image_noise(tf.constant(images.noise_seeds), SAMPLES, LATENTS)
    draws = [draw(model, x, noise[k]).elbo() for k in range(SAMPLES)]
    assert np.ptp([draw.elbo for draw in draws], axis=0).min() > 1e-2, "the draws must differ, or the law is empty"
    for part, parts in zip(whole, zip(*draws, strict=True), strict=True):
        assert part.shape == (COUNT,)
        np.testing.assert_allclose(part, np.mean(parts, axis=0), rtol=1e-6, atol=1e-3)


def test_an_images_elbo_does_not_depend_on_what_pads_its_batch(model, images, whole):
    junk = np.random.default_rng(0).integers(0, 256, [9, 32, 32, 3], dtype=np.uint8)
    x = to_unit_interval(np.concatenate([images.pixels, junk]))
    seeds = tf.constant(np.concatenate([images.noise_seeds, np.repeat(images.noise_seeds[:3], 3)]))
    for part, expected in zip(image_elbo(model, x, seeds, SAMPLES), whole, strict=True):
        np.testing.assert_allclose(part[:COUNT], expected, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("at_once", [1, 7 * SAMPLES, COUNT * SAMPLES, 2000])
def test_the_evaluators_mean_is_the_mean_over_images(at_once, model, images, whole, monkeypatch):
    monkeypatch.setattr(trainer.evaluate, "DRAWS_AT_ONCE", at_once)
    expected = [np.mean(part.numpy().astype(float)) for part in whole]
    np.testing.assert_allclose(Evaluator(model, SAMPLES)(images), expected, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("at_once", [7 * SAMPLES, 2000])
def test_the_shares_of_the_latents_are_those_of_the_evaluators_draws_and_sum_to_its_kl(
    at_once, model, images, monkeypatch
):
    monkeypatch.setattr(trainer.evaluate, "DRAWS_AT_ONCE", at_once)
    mean, (group,) = evaluate_latents(model, images, SAMPLES)
    np.testing.assert_allclose(mean, Evaluator(model, SAMPLES)(images), rtol=1e-6)
    assert sum(group.kl) == pytest.approx(mean.kl, rel=1e-6)
    noise = image_noise(tf.constant(images.noise_seeds), SAMPLES, LATENTS)
    shares = draw(model, to_unit_interval(images.pixels), noise).kl.numpy().astype(float)
    assert (group.group, len(group.kl)) == ("z", LATENTS)
    np.testing.assert_allclose(group.kl, shares.mean(axis=(0, 1)), rtol=1e-5, atol=1e-4)
    assert np.ptp(group.kl) > 0.1, "latents differ, or the law is empty"


def test_the_shares_are_in_the_groups_of_the_model(model, images, monkeypatch):
    (whole,) = evaluate_latents(model, images, SAMPLES).latents
    monkeypatch.setattr(VAE, "scales", {"8x8": 6, "4x4": 2})
    assert evaluate_latents(model, images, SAMPLES).latents == (("8x8", whole.kl[:6]), ("4x4", whole.kl[6:]))


def test_the_evaluator_sees_the_weights_of_now(model, images, scramble):
    evaluate = Evaluator(model, SAMPLES)
    before = evaluate(images)
    scramble(model, scale=0.3, seed=1)
    after = evaluate(images)
    assert before != after
    np.testing.assert_allclose(after, Evaluator(model, SAMPLES)(images), rtol=1e-6, atol=1e-3)


def test_noise_is_a_function_of_the_seed_alone():
    seeds = tf.constant([5, 0, 2**31 - 2, 7], tf.int64)
    noise = image_noise(seeds, SAMPLES, LATENTS).numpy()
    assert noise.shape == (SAMPLES, 4, LATENTS)
    np.testing.assert_array_equal(image_noise(seeds[::-1], SAMPLES, LATENTS), noise[:, ::-1])
    for i in range(4):
        np.testing.assert_array_equal(image_noise(seeds[i : i + 1], SAMPLES, LATENTS)[:, 0], noise[:, i])


def test_noise_is_standard_normal_and_independent_between_seeds_draws_and_latents():
    noise = image_noise(tf.range(2000, dtype=tf.int64), 2, LATENTS).numpy()
    assert scipy.stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    columns = np.concatenate([noise[0, :-1], noise[1, :-1], noise[0, 1:]], axis=1)  # the last ones: of the next seed
    correlation = np.corrcoef(columns, rowvar=False)
    assert np.abs(correlation - np.eye(3 * LATENTS)).max() < 5.0 / np.sqrt(2000)


def test_the_importance_weighted_bound_is_that_of_each_images_own_draws(model, images, monkeypatch):
    monkeypatch.setattr(trainer.evaluate, "DRAWS_AT_ONCE", 7 * SAMPLES)
    noise = image_noise(tf.constant(images.noise_seeds), SAMPLES, LATENTS)
    weights = draw(model, to_unit_interval(images.pixels), noise).elbo().elbo.numpy().astype(float)
    expected = scipy.special.logsumexp(weights, axis=0, b=1.0 / SAMPLES).mean()
    np.testing.assert_allclose(quality(model, images, SAMPLES).importance_weighted_bound, expected, rtol=1e-6)


def test_the_importance_weighted_bound_starts_at_the_elbo_and_rises_with_its_draws(model, images):
    bounds = {k: quality(model, images, k).importance_weighted_bound for k in (1, 10, 100)}
    np.testing.assert_allclose(bounds[1], Evaluator(model, 1)(images).elbo, rtol=1e-6)
    assert bounds[1] < bounds[10] < bounds[100]
    assert all(bounds[k] > Evaluator(model, k)(images).elbo for k in (10, 100))


@pytest.mark.parametrize("active", [0, 3, LATENTS])
def test_an_active_latent_is_one_whose_posterior_mean_varies_over_the_images(active):
    """The first latents' means vary by just enough and the others' too little; all have a mean that is not zero.

    Without its correction for 50 draws, the unit variance of a posterior would alone make a latent active.
    """
    deviation = np.where(np.arange(LATENTS) < active, 0.2, 0.02)
    encoder = lambda x: [3.0 + (x[:, :LATENTS] - 0.5) * 2.0 * deviation, tf.zeros([len(x), LATENTS])]  # noqa: E731
    decoder = lambda z: [tf.zeros(tf.concat([tf.shape(z)[:-1], [3072]], axis=0))]  # noqa: E731
    pixels = 255 * np.random.default_rng(0).integers(0, 2, [200, 32, 32, 3], dtype=np.uint8)
    images = ImageSet(pixels, np.arange(200, dtype=np.int64))
    assert quality(VAE(LATENTS, encoder, decoder, Bernoulli), images, 50).active_latents == active
