"""Where bfloat16 is used, and what it does to a convolution and to the gradients of a model."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

import trainer.training.step
from trainer.evaluate import Evaluator
from trainer.model import precision
from trainer.model.build import build
from trainer.model.precision import convolve, multiplies_bfloat16, products_in
from trainer.presets import PRESETS
from trainer.shape import Shape
from trainer.training.optimizer import build_optimizer
from trainer.training.step import TrainStep

SHAPE, BATCH = Shape(8, 8, 3), 4
SMALL = {"channels": 4, "iaf_steps": 1, "iaf_hidden_size": 8, "batch_size": BATCH, "epochs": 1}
CONVOLUTIONAL = pytest.mark.parametrize("preset", ["resnet", "ladder"])
HALF_A_DIGIT = 2.0**-8  # bfloat16 has 8 binary digits, and rounds to the nearest


@pytest.fixture
def bfloat16():
    """Products in bfloat16, of a processor that has them."""
    if not multiplies_bfloat16():
        pytest.skip("no instructions for bfloat16 here")
    return tf.bfloat16


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Makes this machine one whose processor has the instructions that are named, and no other device."""
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: [tf.config.LogicalDevice("CPU:0", "CPU")])
    for name in ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    return lambda flags: precision.CPUINFO.write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse\nbugs\t\t:\n")


@pytest.fixture
def start(monkeypatch):
    """The model of a preset, with small networks, and its training step with products of a type."""

    def make(preset, dtype):
        monkeypatch.setattr(trainer.training.step, "multiplies_bfloat16", lambda: dtype == tf.bfloat16)
        config = dataclasses.replace(PRESETS[preset], **SMALL)
        model = build(config, SHAPE)
        optimizer = build_optimizer(config, model.trainable_variables, 2)
        return model, TrainStep(tf.distribute.get_strategy(), config, model, optimizer, 2)

    return make


@pytest.mark.parametrize("flags", ["avx512f avx512_bf16", "amx_bf16 amx_tile"])
def test_a_processor_with_instructions_for_bfloat16_is_known(flags, processor):
    processor(flags)
    assert multiplies_bfloat16()


def test_other_processors_and_machines_without_a_list_of_instructions_convolve_float32(processor):
    assert not multiplies_bfloat16()
    processor("avx2 avx512f avx512_vnni")
    assert not multiplies_bfloat16()


@pytest.mark.parametrize(
    ("name", "value"),
    [("TF_ENABLE_ONEDNN_OPTS", "0"), ("TF_ENABLE_ONEDNN_OPTS", "False"), ("ONEDNN_MAX_CPU_ISA", "AVX2")],
)
def test_a_user_who_limits_onednn_gets_float32(name, value, processor, monkeypatch):
    processor("avx512_bf16")
    monkeypatch.setenv(name, value)
    assert not multiplies_bfloat16()


@pytest.mark.parametrize("kind", ["GPU", "TPU"])
def test_other_devices_are_left_alone(kind, processor, monkeypatch):
    processor("avx512_bf16")
    devices = [tf.config.LogicalDevice(f"{name}:0", name) for name in ("CPU", kind)]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: devices)
    assert not multiplies_bfloat16()


def test_sums_of_many_products_are_rounded_once(bfloat16):
    rng = np.random.default_rng(0)
    x, kernel = rng.uniform(0.5, 1.5, [2, 8, 8, 64]), rng.uniform(0.5, 1.5, [3, 3, 64, 32])
    single = [tf.constant(part, tf.float32) for part in (x, kernel)]
    rounded = [tf.cast(tf.cast(part, bfloat16), tf.float64) for part in single]
    exact = convolve(*rounded, stride=2)
    with products_in(bfloat16):
        found = convolve(*single, stride=2)
    assert found.dtype == tf.float32
    assert_allclose(found, exact, rtol=1.001 * HALF_A_DIGIT)
    assert np.max(np.abs(found / tf.cast(exact, tf.float32) - 1.0)) > 0.5 * HALF_A_DIGIT, "not of float32"


def test_without_being_asked_and_for_float64_nothing_is_rounded():
    x, kernel = tf.fill([1, 4, 4, 1], 1.0 + 2.0**-20), tf.ones([1, 1, 1, 1])
    with products_in(tf.bfloat16):
        double = convolve(tf.cast(x, tf.float64), tf.cast(kernel, tf.float64), 1)
    np.testing.assert_array_equal(double, tf.cast(x, tf.float64))
    np.testing.assert_array_equal(convolve(x, kernel, 1), x)


@CONVOLUTIONAL
def test_the_convolutions_of_a_step_are_of_bfloat16_and_nothing_else(preset, start):
    model, step = start(preset, tf.bfloat16)
    pixels, eps = tf.zeros([BATCH, *SHAPE], tf.uint8), tf.zeros([1, BATCH, model.latent_size])
    graph = step._gradients.get_concrete_function(pixels, eps, tf.constant(0)).graph
    kinds = {op.type for op in graph.get_operations() if has_bfloat16(op)}
    assert kinds >= {"Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"}
    assert all(has_bfloat16(op) for op in graph.get_operations() if op.type.startswith("Conv2D"))
    assert kinds - {"Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"} <= {"Cast", "Identity", "ShapeN"}


@CONVOLUTIONAL
def test_an_evaluation_beside_such_a_step_is_of_float32(preset, start):
    """Also where both were traced one after the other, as in a training."""
    model, step = start(preset, tf.bfloat16)
    pixels, eps = tf.zeros([BATCH, *SHAPE], tf.uint8), tf.zeros([1, BATCH, model.latent_size])
    step._gradients.get_concrete_function(pixels, eps, tf.constant(0))
    traced = Evaluator(model, samples=2)._map._function.get_concrete_function(pixels, tf.range(BATCH, dtype=tf.int64))
    assert any(op.type == "Conv2D" for op in operations(traced.graph))
    assert not any(has_bfloat16(op) for op in operations(traced.graph))


def test_a_step_without_convolutions_is_of_float32(start, caplog):
    with caplog.at_level("INFO", "trainer"):
        model, step = start("mlp", tf.bfloat16)
    pixels, eps = tf.zeros([BATCH, *SHAPE], tf.uint8), tf.zeros([1, BATCH, model.latent_size])
    graph = step._gradients.get_concrete_function(pixels, eps, tf.constant(0)).graph
    assert not any(has_bfloat16(op) for op in operations(graph))
    assert not caplog.text


def test_the_log_says_that_a_training_uses_bfloat16(start, caplog):
    with caplog.at_level("INFO", "trainer"):
        start("resnet", tf.float32)
        assert not caplog.text
        start("resnet", tf.bfloat16)
    assert "convolutions multiply bfloat16 in training" in caplog.text


@CONVOLUTIONAL
def test_gradients_and_bounds_are_nearly_those_of_float32(preset, bfloat16, start, scramble, make_images):
    results = []
    for dtype in (bfloat16, tf.float32):
        model, step = start(preset, dtype)
        scramble(model, scale=0.05)
        pixels = tf.constant(make_images(BATCH).pixels[:, : SHAPE.height, : SHAPE.width])
        eps = tf.random.stateless_normal([1, BATCH, model.latent_size], [0, 0])
        gradients, elbo = step._gradients(pixels, eps, tf.constant(0))
        results.append((tf.concat([tf.reshape(part, [-1]) for part in gradients], 0), elbo))
    (found, elbo), (expected, expected_elbo) = results
    assert not np.array_equal(found, expected)
    assert tf.norm(found - expected) < 0.01 * tf.norm(expected)
    assert_allclose(elbo, expected_elbo, rtol=1e-3)


def operations(graph):
    """The operations of a graph and of the functions that it calls."""
    yield from graph.get_operations()
    for function in graph._functions.values():
        yield from function.graph.get_operations()


def has_bfloat16(op):
    return any(tensor.dtype == tf.bfloat16 for tensor in (*op.inputs, *op.outputs))
