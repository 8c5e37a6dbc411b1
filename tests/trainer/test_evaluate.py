"""An image's ELBO does not depend on what it is evaluated with."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

import trainer.evaluate
from trainer.evaluate import Evaluator, evaluate_latents, gain_rows, image_elbo, image_noise, quality
from trainer.images import ImageSet, to_unit_interval
from trainer.model.build import build
from trainer.model.distributions import smooth_clip
from trainer.model.likelihoods import Bernoulli
from trainer.model.likelihoods.gaussian import MIN_LOGVAR, GaussianPixels
from trainer.model.objective import draw
from trainer.model.vae import VAE
from trainer.shape import Shape

COUNT, SAMPLES, LATENTS = 20, 3, 8
PIXELS = Shape(2, 2, 3)


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
    at_once, model, images, whole, monkeypatch
):
    monkeypatch.setattr(trainer.evaluate, "DRAWS_AT_ONCE", at_once)
    mean, elbos, (group,) = evaluate_latents(model, images, SAMPLES)
    np.testing.assert_allclose(elbos, whole.elbo, rtol=1e-6)
    np.testing.assert_allclose(mean, Evaluator(model, SAMPLES)(images), rtol=1e-6)
    assert sum(group.kl) == pytest.approx(mean.kl, rel=1e-6)
    noise = image_noise(tf.constant(images.noise_seeds), SAMPLES, LATENTS)
    shares = draw(model, to_unit_interval(images.pixels), noise).kl.numpy().astype(float)
    assert (group.group, len(group.kl)) == ("z", LATENTS)
    np.testing.assert_allclose(group.kl, shares.mean(axis=(0, 1)), rtol=1e-5, atol=1e-4)
    assert np.ptp(group.kl) > 0.1, "latents differ, or the law is empty"
    np.testing.assert_allclose(group.half_width, 1.96 * scipy.stats.sem(shares.mean(axis=0).sum(axis=1)), rtol=1e-5)


def test_the_shares_are_in_the_groups_of_the_model(model, images, monkeypatch):
    (whole,) = evaluate_latents(model, images, SAMPLES).latents
    monkeypatch.setattr(VAE, "scales", {"8x8": 6, "4x4": 2})
    groups = evaluate_latents(model, images, SAMPLES).latents
    assert [(group.group, group.kl) for group in groups] == [("8x8", whole.kl[:6]), ("4x4", whole.kl[6:])]
    noise = image_noise(tf.constant(images.noise_seeds), SAMPLES, LATENTS)
    shares = draw(model, to_unit_interval(images.pixels), noise).kl.numpy().astype(float).mean(axis=0)
    for group, part in zip(groups, (shares[:, :6], shares[:, 6:]), strict=True):
        np.testing.assert_allclose(group.half_width, 1.96 * scipy.stats.sem(part.sum(axis=1)), rtol=1e-5)


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


@pytest.mark.parametrize("counted", [COUNT, 7])
def test_the_gain_is_that_of_each_images_own_draws_and_the_bound_is_the_elbo_plus_it(
    counted, model, images, monkeypatch
):
    """The bound of a part is that of all images, and a mean that the other images do not have."""
    monkeypatch.setattr(trainer.evaluate, "DRAWS_AT_ONCE", 7 * SAMPLES)
    monkeypatch.setattr(trainer.evaluate, "GAIN_IMAGES", counted)
    rows = gain_rows(COUNT)
    noise = image_noise(tf.constant(images.noise_seeds), SAMPLES, LATENTS)
    weights = draw(model, to_unit_interval(images.pixels), noise).elbo().elbo.numpy().astype(float)[:, rows]
    gains = scipy.special.logsumexp(weights, axis=0, b=1.0 / SAMPLES) - weights.mean(axis=0)
    elbos = np.random.default_rng(0).normal(-1900.0, 3.0, COUNT)  # of any draws
    found = quality(model, images, elbos, SAMPLES)
    assert (found.importance_samples, found.images) == (SAMPLES, counted)
    assert found.gain == pytest.approx(gains.mean(), rel=1e-4)
    assert found.gain_half_width == pytest.approx(1.96 * scipy.stats.sem(gains), rel=1e-4)
    assert found.importance_weighted_bound == pytest.approx(elbos.mean() + found.gain, rel=1e-12)
    rest = np.var(gains, ddof=1) * (1.0 / counted - 1.0 / COUNT)
    error = np.sqrt(np.var(elbos[rows] + gains, ddof=1) / COUNT + rest)
    assert found.bound_half_width == pytest.approx(1.96 * error, rel=1e-4)


@pytest.mark.parametrize("period", [2, 3, 10])
def test_images_of_each_kind_measure_the_gain_though_the_kinds_take_turns(period):
    rows = gain_rows(1000)
    assert len(np.unique(rows)) == trainer.evaluate.GAIN_IMAGES
    shares = np.bincount(rows % period, minlength=period) * period / len(rows)
    assert np.all(np.abs(shares - 1.0) < 0.35)
    np.testing.assert_array_equal(rows, gain_rows(1000))
    np.testing.assert_array_equal(gain_rows(7), np.arange(7))


def test_the_gain_starts_at_zero_and_rises_with_its_draws(model, images):
    gains = {k: quality(model, images, np.zeros(COUNT), k).gain for k in (1, 10, 100)}
    assert gains[1] == 0.0
    assert gains[1] < gains[10] < gains[100]


def gaussian_world(shift):
    """A model z ~ N(0, I), x = W z + 1/2 + noise, whose log p(x) is known, with a posterior off by `shift` deviations.

    The rows of W are orthogonal, so the true posterior of the two latents is diagonal.
    """
    size, logvar = PIXELS.size, smooth_clip(tf.constant(-3.0), MIN_LOGVAR, 0.0).numpy()
    weights = 0.7 * scipy.stats.ortho_group.rvs(size, random_state=0)[:2]
    precision = 1.0 + np.sum(weights**2, axis=1) / np.exp(logvar)
    back = (weights / np.exp(logvar) / precision[:, None]).T.astype(np.float32)
    ones = lambda like, last: tf.ones(tf.concat([tf.shape(like)[:-1], [last]], axis=0))  # noqa: E731
    model = VAE(
        2,
        lambda x: [(x - 0.5) @ back + shift / np.sqrt(precision), -np.log(precision) * ones(x, 2)],
        lambda z: [tf.tensordot(z, weights.astype(np.float32), 1) + 0.5, -3.0 * ones(z, size)],
        GaussianPixels,
    )
    evidence = scipy.stats.multivariate_normal(np.full(size, 0.5), weights.T @ weights + np.exp(logvar) * np.eye(size))
    return model, evidence.logpdf


@pytest.fixture
def small():
    """Images of 12 values that are no black, white or grey."""
    pixels = np.random.default_rng(0).integers(0, 256, [300, *PIXELS], dtype=np.uint8)
    return ImageSet(pixels, np.arange(300, dtype=np.int64))


def test_the_bound_of_the_true_posterior_is_the_evidence(small):
    model, log_evidence = gaussian_world(0.0)
    found = quality(model, small, evaluate_latents(model, small, 4).elbos, 256)
    evidence = np.mean(log_evidence(small.pixels.reshape(300, -1) / 255.0))
    assert found.gain == pytest.approx(0.0, abs=1e-4)
    assert found.importance_weighted_bound == pytest.approx(evidence, abs=1e-3)


def test_the_bound_of_another_posterior_lies_between_its_elbo_and_the_evidence(small):
    """The ELBO is below the evidence by the KL of two normal latents, and the bound of 256 draws far less."""
    model, log_evidence = gaussian_world(1.5)
    elbos, evidence = evaluate_latents(model, small, 4).elbos, log_evidence(small.pixels.reshape(300, -1) / 255.0)
    found, gap = quality(model, small, elbos, 256), 2 * 1.5**2 / 2
    assert np.mean(evidence - elbos) == pytest.approx(gap, abs=0.2)
    assert 0.0 < gap - 0.5 < found.gain < gap + found.gain_half_width < gap + 0.2
    assert elbos.mean() < found.importance_weighted_bound < evidence.mean() + found.bound_half_width
    assert found.bound_half_width == pytest.approx(1.96 * scipy.stats.sem(evidence), rel=0.2)


def test_the_interval_of_active_latents_is_from_those_surely_above_to_those_perhaps(images):
    """The mean of latent i varies by `deviation` i, and its KL is half of the square."""
    deviation = np.linspace(0.0, 0.35, LATENTS, dtype=np.float32)
    encoder = lambda x: [deviation * tf.sign(x[:, :LATENTS] - 0.3), tf.zeros([len(x), LATENTS])]  # noqa: E731
    decoder = lambda z: [tf.zeros(tf.concat([tf.shape(z)[:-1], [3072]], axis=0))]  # noqa: E731
    model = VAE(LATENTS, encoder, decoder, Bernoulli)
    (group,) = evaluate_latents(model, images, 20).latents
    noise = image_noise(tf.constant(images.noise_seeds), 20, LATENTS)
    each = draw(model, to_unit_interval(images.pixels), noise).kl.numpy().astype(float).mean(axis=0)
    kl, half = each.mean(axis=0), 1.96 * scipy.stats.sem(each)
    assert group.active == np.sum(kl > 0.01)
    assert group.active_interval == (np.sum(kl - half > 0.01), np.sum(kl + half > 0.01))
    assert group.active_interval[0] < group.active < group.active_interval[1], "or the law is empty"


def test_a_single_image_has_no_intervals(model, images):
    one = images.take(np.arange(1))
    (group,) = evaluate_latents(model, one, SAMPLES).latents
    found = quality(model, one, np.array([-1900.0]), SAMPLES)
    assert np.isnan([group.half_width, found.gain_half_width, found.bound_half_width]).all()
    assert group.active_interval == (0, LATENTS), "any of them may be"
