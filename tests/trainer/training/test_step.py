"""The noise and mirroring of a step, read from the ELBOs of a model that reveals both."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from trainer.model.likelihoods import Bernoulli
from trainer.model.vae import VAE
from trainer.settings import TrainConfig
from trainer.training.optimizer import build_optimizer
from trainer.training.step import TrainStep

STEPS = 3000
LEFT = np.arange(32)[None, :, None] < 16
LOWER = np.arange(32)[:, None, None] >= 16
IMAGE = np.broadcast_to(LEFT | ~LOWER, [32, 32, 3])  # the upper half is white, and of the lower half the left


def decoder(z):
    """Logits: in the lower half 1 to the left and -1 to the right, in the upper half z / 10."""
    side = tf.constant(np.broadcast_to(np.where(LEFT, 1.0, -1.0) * LOWER, [32, 32, 3]).reshape(3072), tf.float32)
    upper = tf.constant(np.broadcast_to(~LOWER, [32, 32, 3]).reshape(3072), tf.float32)
    return [side + 0.1 * z * upper]


def told(at_once=STEPS, **settings):
    """Takes steps of one image; returns whether each was mirrored, [S], and its noise, [S], from the ELBOs."""
    config = TrainConfig(**{"latent_size": 1, "iaf_steps": 0, "batch_size": 1, "horizontal_flips": True} | settings)
    encoder = lambda x: [tf.zeros([len(x), 1])] * 2  # noqa: E731
    model = VAE(1, encoder, decoder, Bernoulli)
    step = TrainStep(tf.distribute.get_strategy(), config, model, build_optimizer(config, [], STEPS), STEPS)
    pixels, rows = 255 * IMAGE[None].astype(np.uint8), np.zeros([STEPS, 1], int)
    elbo = np.concatenate([step(pixels, rows[i : i + at_once], i).elbo for i in range(0, STEPS, at_once)]).astype(float)
    as_it_is, turned = (1536 * scipy.special.log_expit(side) for side in (1.0, -1.0))
    mirrored = elbo < 0.5 * (as_it_is + turned) + 1536 * np.log(0.5)
    log_white = (elbo - np.where(mirrored, turned, as_it_is)) / 1536
    return mirrored, 10.0 * scipy.special.logit(np.exp(log_white))


@pytest.fixture(scope="module")
def shown():
    return told()


def test_every_other_image_is_mirrored_as_a_function_of_seed_and_step(shown):
    mirrored, _ = shown
    np.testing.assert_array_equal(told(at_once=900)[0], mirrored)
    for flips in (mirrored, mirrored[1:] == mirrored[:-1], mirrored == told(seed=1)[0]):
        assert abs(flips.mean() - 0.5) < 5.0 * 0.5 / np.sqrt(STEPS)


def test_no_image_is_mirrored_unless_it_was_asked_for(shown):
    mirrored, noise = told(horizontal_flips=False)
    assert not mirrored.any()
    np.testing.assert_allclose(noise, shown[1], atol=1e-3)


def test_noise_is_standard_normal_and_of_its_seed_and_step_alone(shown):
    _, noise = shown
    np.testing.assert_allclose(told(at_once=900)[1], noise, atol=1e-3)
    assert scipy.stats.kstest(noise, "norm").pvalue > 1e-3
    assert abs(noise.var() - 1.0) < 5.0 * np.sqrt(2.0 / STEPS)
    for other in (np.roll(noise, 1), told(seed=1)[1]):
        assert abs(np.corrcoef(noise, other)[0, 1]) < 5.0 / np.sqrt(STEPS)


def test_whether_an_image_is_mirrored_tells_nothing_of_its_noise(shown):
    mirrored, noise = shown
    for moment in (noise, noise**2):
        assert abs(np.corrcoef(mirrored, moment)[0, 1]) < 5.0 / np.sqrt(STEPS)
