"""The fully connected networks against NumPy."""

import math

import numpy as np
import pytest
import tensorflow as tf

from trainer.model.networks import MLP, Dense

INPUTS, HIDDEN, OUTPUTS = 4, 6, (9, 3, 1)
BATCH_SHAPES = pytest.mark.parametrize("batch", [(1,), (5,), (2, 5), (3, 2, 5)])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def affine(layer, x):
    w, b = layer.w.numpy(), layer.b.numpy()
    return x @ (w if w.shape[1] == len(b) else w.T) + b


@BATCH_SHAPES
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (5, 3)])
def test_dense_is_affine_in_the_last_axis_and_keeps_long_rows(inputs, outputs, batch, rng, scramble):
    layer = scramble(Dense(inputs, outputs, rng, tf.float64))
    x = rng.normal(size=[*batch, inputs])
    assert layer.w.shape == (3, 5)
    np.testing.assert_allclose(layer(tf.constant(x)), affine(layer, x), rtol=1e-12)


def test_dense_starts_uniform_within_glorots_limit_and_unbiased(rng):
    layer, limit = Dense(200, 300, rng), math.sqrt(6.0 / 500.0)
    w = layer.w.numpy()
    assert 0.99 * limit < np.abs(w).max() <= limit * (1.0 + 1e-6)
    np.testing.assert_allclose(w.mean(), 0.0, atol=4.0 * limit / math.sqrt(3.0 * w.size))
    np.testing.assert_allclose(w.std(), limit / math.sqrt(3.0), rtol=0.01)
    assert not layer.b.numpy().any()


@BATCH_SHAPES
def test_every_output_of_an_mlp_is_affine_in_one_tanh_layer(batch, rng, scramble):
    network = scramble(MLP(INPUTS, HIDDEN, OUTPUTS, rng, tf.float64), scale=2.0)
    x = rng.normal(size=[*batch, INPUTS])
    features = np.tanh(affine(network.hidden, x))
    outputs = network(tf.constant(x))
    assert [output.shape for output in outputs] == [(*batch, size) for size in OUTPUTS]
    for output, head in zip(outputs, network.heads, strict=True):
        np.testing.assert_allclose(output, affine(head, features), rtol=1e-10)


def test_the_outputs_of_an_mlp_have_weights_of_their_own(rng):
    first, second = MLP(INPUTS, HIDDEN, [3, 3], rng)(tf.ones([1, INPUTS]))
    assert not np.any(first == second)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_a_networks_weights_and_outputs_are_of_its_dtype(dtype, rng):
    network = MLP(INPUTS, HIDDEN, OUTPUTS, rng, dtype)
    assert {variable.dtype for variable in network.variables} == {dtype}
    assert {output.dtype for output in network(tf.zeros([1, INPUTS], dtype))} == {dtype}


def test_the_same_state_of_the_generator_gives_the_same_weights(weights_of):
    rng = np.random.default_rng(3)
    first, second = (weights_of(MLP(INPUTS, HIDDEN, OUTPUTS, rng)) for _ in range(2))
    again = weights_of(MLP(INPUTS, HIDDEN, OUTPUTS, np.random.default_rng(3)))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(a.any() and np.array_equal(a, b) for a, b in zip(first, second, strict=True))
