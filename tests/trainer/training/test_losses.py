"""The losses of training, which are minus the ELBO without relaxation."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from trainer.model.objective import Draw, draw, importance_weighted_bound
from trainer.settings import TrainConfig
from trainer.training.losses import build_loss, importance_weighted_loss, relaxed_elbo

DRAWS, BATCH, LATENTS, PIXELS = 3, 5, 4, 12
ALONE = np.arange(LATENTS)  # each latent is a group of its own


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def drawn(rng):
    """Draws [3, 5] of four latents, whose mean KLs are 0.1, 0.4, 1 and 2."""
    kl = rng.normal(size=[DRAWS, BATCH, LATENTS])
    kl += [0.1, 0.4, 1.0, 2.0] - kl.mean(axis=(0, 1))
    return Draw(tf.zeros_like(kl), tf.constant(rng.normal(-50.0, 5.0, [DRAWS, BATCH])), tf.constant(kl))


def gradients(loss, *of):
    with tf.GradientTape() as tape:
        tape.watch(of)
        value = loss()
    return tape.gradient(value, of)


def test_an_unrelaxed_loss_is_minus_the_mean_elbo_and_has_its_gradient(make_vae, scramble, rng):
    vae = scramble(make_vae(dtype=tf.float64))
    x, eps = tf.constant(rng.uniform(size=[BATCH, PIXELS])), tf.constant(rng.normal(size=[DRAWS, BATCH, LATENTS]))
    loss = lambda: relaxed_elbo(draw(vae, x, eps), 1.0, 0.0, ALONE)  # noqa: E731
    minus_elbo = lambda: -tf.reduce_mean(draw(vae, x, eps).elbo().elbo)  # noqa: E731
    np.testing.assert_allclose(loss(), minus_elbo(), rtol=1e-12)
    weights = vae.trainable_variables
    for found, expected in zip(gradients(loss, *weights), gradients(minus_elbo, *weights), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("free", [0.0, 0.5, 100.0])
def test_a_relaxed_loss_is_its_formula(weight, free, drawn):
    kl = np.maximum([0.1, 0.4, 1.0, 2.0], free).sum()
    expected = -drawn.reconstruction.numpy().mean() + weight * kl
    np.testing.assert_allclose(relaxed_elbo(drawn, weight, free, ALONE), expected, rtol=1e-12)


def test_without_free_bits_a_negative_kl_counts_too(drawn):
    below = drawn._replace(kl=drawn.kl - 1.0)
    np.testing.assert_allclose(
        relaxed_elbo(drawn, 1.0, 0.0, ALONE) - relaxed_elbo(below, 1.0, 0.0, ALONE), LATENTS, rtol=1e-9
    )


def test_a_latent_below_its_free_bits_gets_no_gradient_and_one_above_all_of_it(drawn):
    kl = drawn.kl
    (gradient,) = gradients(lambda: relaxed_elbo(drawn, 0.7, 0.5, ALONE), kl)
    expected = np.broadcast_to([0.0, 0.0, 0.7, 0.7], kl.shape) / (DRAWS * BATCH)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_the_latents_of_a_group_share_its_free_bits(drawn):
    kl = drawn.kl
    groups = np.array([1, 0, 1, 0])  # of 1.1 and 2.4 nats
    np.testing.assert_allclose(relaxed_elbo(drawn, 1.0, 1.5, groups), 1.5 + 2.4 - np.mean(drawn.reconstruction))
    (gradient,) = gradients(lambda: relaxed_elbo(drawn, 1.0, 1.5, groups), kl)
    np.testing.assert_allclose(gradient, np.broadcast_to([0.0, 1.0, 0.0, 1.0], kl.shape) / (DRAWS * BATCH))


@pytest.mark.parametrize(("epochs", "steps", "rise"), [(2.0, 10, 20), (0.5, 7, 3.5), (0.0, 10, 1), (0.01, 10, 1)])
def test_the_weight_of_the_kl_rises_linearly_to_one_and_stays_there(epochs, steps, rise):
    loss = build_loss(TrainConfig(kl_warmup_epochs=epochs), steps, np.arange(1))
    unit = Draw(tf.zeros([1, 1, 1]), tf.zeros([1, 1]), tf.ones([1, 1, 1]))
    weights = [float(loss(unit, tf.constant(step))) for step in range(60)]
    np.testing.assert_allclose(weights, np.minimum((np.arange(60) + 1.0) / rise, 1.0), rtol=1e-6)
    assert weights[0] > 0.0


def test_the_importance_weighted_loss_is_minus_the_mean_bound(drawn):
    log_weights = drawn.reconstruction.numpy() - drawn.kl.numpy().sum(axis=-1)
    bound = scipy.special.logsumexp(log_weights, axis=0) - np.log(DRAWS)
    np.testing.assert_allclose(importance_weighted_loss(drawn), -bound.mean(), rtol=1e-12)
    np.testing.assert_allclose(importance_weighted_bound(drawn.elbo().elbo), bound, rtol=1e-12)


def test_of_one_draw_the_importance_weighted_loss_is_minus_the_elbo(drawn):
    one = Draw(*(part[:1] for part in drawn))
    np.testing.assert_allclose(importance_weighted_loss(one), -np.mean(one.elbo().elbo), rtol=1e-12)
    np.testing.assert_allclose(importance_weighted_loss(one), relaxed_elbo(one, 1.0, 0.0, ALONE), rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, lambda d: relaxed_elbo(d, 1.0, 0.0, ALONE)),
        ({"free_bits": 0.5}, lambda d: relaxed_elbo(d, 1.0, 0.5, ALONE)),
        ({"kl_warmup_epochs": 2.0}, lambda d: relaxed_elbo(d, 4.0 / 20.0, 0.0, ALONE)),
        ({"kl_warmup_epochs": 2.0, "free_bits": 0.5}, lambda d: relaxed_elbo(d, 4.0 / 20.0, 0.5, ALONE)),
        ({"objective": "iwae", "train_samples": DRAWS}, importance_weighted_loss),
    ],
    ids=["elbo", "free bits", "warm-up", "both", "iwae"],
)
def test_the_configuration_chooses_the_loss_of_a_step(settings, expected, drawn):
    found = build_loss(TrainConfig(**settings), 10, ALONE)(drawn, tf.constant(3))
    np.testing.assert_allclose(found, expected(drawn), rtol=1e-6)
