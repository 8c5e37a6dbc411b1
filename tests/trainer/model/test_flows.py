"""The flow: its laws, TensorFlow Probability's flow on the same weights, and its initial state."""

import laws
import masked
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp

import trainer.model.flows
from trainer.model.flows import MADE, IAFStep, LocationStep, MaskedDense
from trainer.model.vae import VAE

tfb, tfd = tfp.bijectors, tfp.distributions

SIZE, CONTEXT, BATCH = 5, 3, 4
RISING, FALLING = np.arange(1, SIZE + 1), np.arange(SIZE, 0, -1)
BELOW_DIAGONAL = np.tril(np.ones([SIZE, SIZE], bool), -1)
HIDDEN = pytest.mark.parametrize("hidden", [2, 4, SIZE, 16])
LAYERS = pytest.mark.parametrize("layers", [1, 2])
ORDERS = pytest.mark.parametrize("order", [RISING, FALLING], ids=["rising", "falling"])
KINDS = pytest.mark.parametrize("kind", [IAFStep, LocationStep])


@pytest.fixture(params=[trainer.model.flows.BLOCK, 2], ids=["whole", "blocks"], autouse=True)
def block(request, monkeypatch):
    """Layers of this size are one block; with narrow ones they are several, some of them without an input."""
    monkeypatch.setattr(trainer.model.flows, "BLOCK", request.param)


@pytest.fixture
def z():
    return laws.normal(BATCH, SIZE, seed=1)


@pytest.fixture
def h():
    return laws.normal(BATCH, CONTEXT, seed=2)


def new_step(kind, hidden, layers=1, gate_bias=1.5, order=RISING):
    biases = [0.0, gate_bias] if kind is IAFStep else [0.0]
    return kind(MADE(order, hidden, layers, CONTEXT, biases, np.random.default_rng(0), tf.float64))


@pytest.mark.parametrize("law", laws.OF_THE_FLOW, ids=lambda law: law.__name__)
def test_law(law):
    law()


@HIDDEN
@LAYERS
@ORDERS
@pytest.mark.parametrize("output", [0, 1])
def test_an_output_of_made_sees_no_latent_but_earlier_ones(hidden, layers, order, output, scramble, z, h):
    made = scramble(MADE(order, hidden, layers, CONTEXT, [0.0, 0.0], np.random.default_rng(0), tf.float64))
    seen = laws.jacobian(lambda z: made(z, h)[output], z)[:, order - 1][:, :, order - 1]
    assert not seen[:, ~BELOW_DIAGONAL].any()
    assert hidden < SIZE or seen[:, BELOW_DIAGONAL].all(), "a hidden unit per degree shows every earlier latent"


@HIDDEN
@LAYERS
@ORDERS
@pytest.mark.parametrize("output", [0, 1])
def test_the_context_reaches_every_output(hidden, layers, order, output, scramble, z, h):
    made = scramble(MADE(order, hidden, layers, CONTEXT, [0.0, 0.0], np.random.default_rng(0), tf.float64))
    assert laws.jacobian(lambda h: made(z, h)[output], h).any(axis=(0, 2)).all()


def test_a_step_moves_each_latent_towards_m_by_its_gate(scramble, z, h):
    step = scramble(new_step(IAFStep, 16))
    m, s = (output.numpy() for output in step.made(z, h))
    np.testing.assert_allclose(step(z, h).z, m + scipy.special.expit(s) * (z.numpy() - m), rtol=1e-10)


def shift_and_log_scale(step, h, order):
    """The step's networks as TFP wants them, latents rising, masks of blocks: the units of degree d are the d-th block.

    TFP's inverse is (z - shift) exp(-log_scale); it shall be g z + (1 - g) m, and z + m in a LocationStep.
    """
    made, units, latents, every = step.made, step.made.first.b.shape[0] // SIZE, np.argsort(order), slice(None)
    up_to, before = np.triu(np.ones([SIZE, SIZE], bool)), np.triu(np.ones([SIZE, SIZE], bool), 1)

    def w(layer, mask, block, rows=every, columns=every):
        mask = np.kron(mask, np.ones(block, bool))
        return np.where(mask, masked.matrix(layer, len(mask))[rows][:, columns], 0.0)

    def networks(z):
        first, context = w(made.first, before, [1, units], rows=latents), made.context
        u = tf.nn.elu(z @ first + made.first.b + h @ context.w + context.b)
        for layer in made.deeper:
            u = tf.nn.elu(u @ w(layer, up_to, [units, units]) + layer.b)
        m, *s = (
            u @ w(output, up_to, [units, 1], columns=latents) + tf.gather(output.b, latents) for output in made.outputs
        )
        return (-m * tf.exp(-s[0]), tf.nn.softplus(-s[0])) if s else (-m, tf.zeros_like(m))

    return networks


def bijector(step, h, order):
    rise = tfb.Permute(np.argsort(order))
    flow = tfb.Invert(tfb.MaskedAutoregressiveFlow(shift_and_log_scale(step, h, order)))
    return tfb.Chain([tfb.Invert(rise), flow, rise])


@KINDS
@LAYERS
@ORDERS
def test_a_step_and_its_log_det_are_those_of_tensorflow_probability(kind, layers, order, scramble, z, h):
    step = scramble(new_step(kind, 3 * SIZE, layers, order=order))
    (there, log_gates), oracle = step(z, h), bijector(step, h, order)
    np.testing.assert_allclose(there, oracle.forward(z), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(np.sum(log_gates, -1), oracle.forward_log_det_jacobian(z, 1), rtol=1e-10, atol=1e-12)


@KINDS
@ORDERS
def test_a_step_is_inverted_one_latent_after_the_other(kind, order, scramble, z, h):
    step = scramble(new_step(kind, 3 * SIZE, 2, order=order))
    np.testing.assert_allclose(bijector(step, h, order).inverse(step(z, h).z), z, rtol=1e-9)


def test_the_density_after_three_steps_is_that_of_tensorflow_probability(scramble, z, h):
    kinds, orders = [IAFStep, LocationStep, IAFStep], [RISING, FALLING, RISING]
    steps = [
        scramble(new_step(kind, 3 * SIZE, order=order), seed=k)
        for k, (kind, order) in enumerate(zip(kinds, orders, strict=True))
    ]
    vae = VAE(
        SIZE, lambda x: [laws.normal(BATCH, SIZE, seed=3), laws.normal(BATCH, SIZE, seed=4), h], None, None, steps
    )
    (loc, logvar), _ = vae.encode(None)
    draw, log_q = vae.infer(None, z)
    chain = [bijector(step, h, order) for step, order in zip(steps, orders, strict=True)]
    oracle = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(loc, tf.exp(0.5 * logvar)), tfb.Chain(chain[::-1]))
    np.testing.assert_allclose(np.sum(log_q, axis=-1), oracle.log_prob(draw), rtol=1e-9)


@LAYERS
@pytest.mark.parametrize("gate_bias", [-1.0, 0.0, 1.5, 2.0])
def test_a_new_step_keeps_the_gates_share_of_the_origin(layers, gate_bias):
    origin, h = tf.zeros([1, SIZE], tf.float64), tf.zeros([1, CONTEXT], tf.float64)
    z, log_gates = new_step(IAFStep, 16, layers, gate_bias)(origin, h)
    np.testing.assert_array_equal(z, origin)
    np.testing.assert_allclose(log_gates, np.full([1, SIZE], scipy.special.log_expit(gate_bias)), rtol=1e-12)


@KINDS
def test_draws_for_the_same_images_share_their_context(kind, scramble, z, h):
    step = scramble(new_step(kind, 16))
    draws = tf.stack([z, 2.0 * z, -z])
    whole = step(draws, h)
    for k, draw in enumerate(draws):
        np.testing.assert_allclose(whole.z[k], step(draw, h).z, rtol=1e-10)
        np.testing.assert_allclose(whole.log_gates[k], step(draw, h).log_gates, rtol=1e-10)


@KINDS
@HIDDEN
@LAYERS
def test_every_weight_of_a_step_gets_a_gradient(kind, hidden, layers, z, h):
    step = new_step(kind, hidden, layers)
    with tf.GradientTape() as tape:
        result = step(z, h)
        loss = tf.reduce_sum(result.z**2) + tf.reduce_sum(result.log_gates)
    gradients = tape.gradient(loss, step.trainable_variables)
    assert all(np.any(gradient) or not tf.size(gradient) for gradient in gradients)


@pytest.mark.parametrize(
    ("turned_in", "turned_out", "rows"),
    [(1, 1, [10, 20, 30, 40]), (-1, 1, [10, 20, 30, 40]), (1, -1, [40, 30, 20, 10]), (-1, -1, [40, 30, 20, 10])],
)
def test_blocks_are_the_layer_that_one_matrix_is_and_keep_few_zeros(turned_in, turned_out, rows, monkeypatch):
    degrees, x = np.arange(40), laws.normal(BATCH, 40)
    layers = []
    for block in (40, 10):
        monkeypatch.setattr(trainer.model.flows, "BLOCK", block)
        rng = np.random.default_rng(0)
        layers.append(MaskedDense(degrees[::turned_in], degrees[::turned_out], rng, tf.float64, 0.5, 2.0))
    np.testing.assert_allclose(layers[1](x), layers[0](x), rtol=1e-12)
    assert [block.shape for block in layers[1].w] == [(inputs, 10) for inputs in rows]
