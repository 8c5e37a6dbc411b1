"""The flow against its autodiff Jacobian, in float64 and with weights far from their initial values."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from trainer.flows import MADE, IAFStep

SIZE, CONTEXT, BATCH = 5, 3, 4
HIDDEN = pytest.mark.parametrize("hidden", [2, 4, SIZE, 16])
BELOW_DIAGONAL = np.tril(np.ones([SIZE, SIZE], bool), -1)


@pytest.fixture
def inputs():
    """z [B, L] and its context h [B, C]."""
    rng = np.random.default_rng(1)
    return tf.constant(rng.normal(size=[BATCH, SIZE])), tf.constant(rng.normal(size=[BATCH, CONTEXT]))


@pytest.fixture
def make(scramble):
    """A module of flows.py in float64; scaled up, because near the initial weights every gate is about the same."""

    def build(kind, hidden, scale=0.5, seed=0, gate_bias=1.5):
        made = MADE(SIZE, hidden, CONTEXT, gate_bias, np.random.default_rng(seed), tf.float64)
        module = made if kind is MADE else kind(made)
        return scramble(module, scale, seed) if scale else module

    return build


def jacobian(function, at):
    """d function / d at for each row, [B, outputs, inputs]."""
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = function(at)
    return tape.batch_jacobian(value, at).numpy()


def before_reversal(step, h):
    return lambda z: step(z, h).z[:, ::-1]


@HIDDEN
@pytest.mark.parametrize("output", [0, 1], ids=["m", "s"])
def test_an_output_sees_no_latent_but_earlier_ones(hidden, output, make, inputs):
    made, (z, h) = make(MADE, hidden), inputs
    assert not jacobian(lambda z: made(z, h)[output], z)[:, ~BELOW_DIAGONAL].any()


@pytest.mark.parametrize("hidden", [SIZE, 16])
@pytest.mark.parametrize("output", [0, 1], ids=["m", "s"])
def test_a_hidden_unit_per_degree_shows_every_earlier_latent(hidden, output, make, inputs):
    made, (z, h) = make(MADE, hidden), inputs
    assert jacobian(lambda z: made(z, h)[output], z)[:, BELOW_DIAGONAL].all()


@HIDDEN
@pytest.mark.parametrize("output", [0, 1], ids=["m", "s"])
def test_the_context_reaches_every_output(hidden, output, make, inputs):
    made, (z, h) = make(MADE, hidden), inputs
    np.testing.assert_array_equal(jacobian(lambda h: made(z, h)[output], h).any(axis=(0, 2)), np.ones(SIZE, bool))


@HIDDEN
def test_the_jacobian_of_a_step_is_triangular_with_the_gates_on_its_diagonal(hidden, make, inputs):
    step, (z, h) = make(IAFStep, hidden), inputs
    whole = jacobian(before_reversal(step, h), z)
    gates = scipy.special.expit(step.made(z, h)[1].numpy())
    assert not whole[:, np.triu(np.ones([SIZE, SIZE], bool), 1)].any()
    np.testing.assert_allclose(np.diagonal(whole, axis1=1, axis2=2), gates, rtol=1e-12)


@HIDDEN
def test_a_step_moves_each_latent_towards_m_by_its_gate(hidden, make, inputs):
    step, (z, h) = make(IAFStep, hidden), inputs
    m, s = (output.numpy() for output in step.made(z, h))
    expected = m + scipy.special.expit(s) * (z.numpy() - m)
    np.testing.assert_allclose(step(z, h).z[:, ::-1], expected, rtol=1e-10)


@HIDDEN
def test_log_det_of_a_chain_is_that_of_its_jacobian_for_each_image(hidden, make, inputs):
    steps, (z, h) = [make(IAFStep, hidden, seed=seed) for seed in range(3)], inputs
    log_det = tf.zeros([BATCH], tf.float64)

    def chain(z):
        nonlocal log_det
        for step in steps:
            z, part = step(z, h)
            log_det += part
        return z

    expected = np.linalg.slogdet(jacobian(chain, z))[1]
    assert np.std(expected) > 0.1, "the images must differ, or the law is empty"
    np.testing.assert_allclose(log_det, expected, rtol=0, atol=1e-9)


def test_two_steps_let_every_latent_reach_every_other(make, inputs):
    (first, second), (z, h) = (make(IAFStep, 16, seed=seed) for seed in range(2)), inputs
    assert jacobian(lambda z: second(first(z, h).z, h).z, z).all()


@pytest.mark.parametrize("gate_bias", [-1.0, 0.0, 1.5, 2.0])
def test_a_new_step_keeps_the_gates_share_of_the_origin(gate_bias, make):
    step = make(IAFStep, 16, scale=None, gate_bias=gate_bias)
    origin, h = tf.zeros([1, SIZE], tf.float64), tf.zeros([1, CONTEXT], tf.float64)
    z, log_det = step(origin, h)
    np.testing.assert_array_equal(z, origin)
    np.testing.assert_allclose(log_det, [SIZE * scipy.special.log_expit(gate_bias)], rtol=1e-12)


def test_draws_for_the_same_images_share_their_context(make, inputs):
    step, (z, h) = make(IAFStep, 16), inputs
    draws = tf.stack([z, 2.0 * z, -z])
    whole = step(draws, h)
    for k, draw in enumerate(draws):
        np.testing.assert_allclose(whole.z[k], step(draw, h).z, rtol=1e-10)
        np.testing.assert_allclose(whole.log_det[k], step(draw, h).log_det, rtol=1e-10)


@HIDDEN
def test_every_weight_of_a_step_gets_a_gradient(hidden, make, inputs):
    step, (z, h) = make(IAFStep, hidden, scale=None), inputs
    with tf.GradientTape() as tape:
        result = step(z, h)
        loss = tf.reduce_sum(result.z**2) + tf.reduce_sum(result.log_det)
    gradients = tape.gradient(loss, step.trainable_variables)
    assert all(gradient is not None and np.any(gradient) for gradient in gradients)


@pytest.mark.parametrize("s", [-1e4, 1e4])
def test_a_gate_that_shuts_or_opens_wholly_stays_finite(s, inputs):
    step = IAFStep(MADE(SIZE, 16, CONTEXT, s, np.random.default_rng(0)))
    z, h = (tf.cast(value, tf.float32) for value in inputs)
    with tf.GradientTape() as tape:
        tape.watch(z)
        result = step(z, h)
        loss = tf.reduce_sum(result.z) + tf.reduce_sum(result.log_det)
    np.testing.assert_allclose(result.log_det, np.full(BATCH, SIZE * min(s, 0.0)), rtol=1e-3, atol=1e-6)
    gradients = tape.gradient(loss, [z, *step.trainable_variables])
    assert np.all(np.isfinite(result.z))
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
