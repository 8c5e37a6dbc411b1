"""What every module owes TensorFlow: its dtype, a SavedModel, XLA, replicas, its gradients and its configuration.

Run as a program, this file writes the distances between two replicas and one device to the path that it is given: a
CPU can be divided into logical devices only before TensorFlow starts.
"""

import json
import pathlib
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from trainer.model.build import build
from trainer.model.flows import MADE, IAFStep, LocationStep
from trainer.model.ladder_blocks import MaskedConvs
from trainer.model.networks import MLP
from trainer.model.objective import draw
from trainer.model.resnet import ResNetDecoder, ResNetEncoder
from trainer.settings import DECODERS, TrainConfig
from trainer.shape import Shape
from trainer.training.warm_start import load_weights

BATCH, LATENTS, CONTEXT, SHAPE = 2, 4, 3, Shape(32, 32, 3)
ODD = Shape(7, 10, 4)  # neither side is a multiple of 4
SIZES = {
    "hidden_size": CONTEXT,
    "latent_size": LATENTS,
    "iaf_hidden_size": 5,
    "channels": 2,
    "ladder_layers": 1,
    "latent_channels": 2,
}
LADDER_LATENTS = 2 * (4 * 5 + 2 * 3 + 1 * 2)  # two channels of a layer a scale
LADDER = {"encoder": "GaussianLadder", "decoder": "BernoulliLadder"}
RESNETS = {"encoder": "GaussianResNet", "decoder": "BernoulliResNet"}
SETTINGS = {
    **{decoder: {"decoder": decoder, "iaf_steps": 2} for decoder in DECODERS if not decoder.endswith("Ladder")},
    "ladder": LADDER | {"iaf_steps": 2},
    "ladder without a flow": LADDER | {"iaf_steps": 0, "decoder": "DiscretizedLogisticLadder"},
    "no flow": {"iaf_steps": 0},
    "ResNet encoder": {"encoder": "GaussianResNet"},
    "latent maps": {**RESNETS, "latent_maps": True, "latent_size": 64, "hidden_size": 64},
    "deep flow": {"iaf_layers": 2},
    "location-only flow": {"iaf_location_only": True},
}


class Case(NamedTuple):
    make: Callable  # (generator of weights, dtype) -> module
    inputs: list[int]  # sizes of its inputs
    outputs: list[tuple[int, ...]]  # shapes of its outputs, without the batch
    call: Callable = lambda module, *inputs: list(module(*inputs))


def whole(settings):
    """The case of a whole model."""
    config = TrainConfig(**SIZES | settings)
    shape = SHAPE if "ResNet" in config.encoder + config.decoder else ODD if config.is_ladder else Shape(2, 2, 3)
    return Case(
        lambda _, dtype: build(config, shape, dtype),
        [shape.size, LADDER_LATENTS if config.is_ladder else config.latent_size],
        [(), (), ()],
        lambda vae, x, eps: list(draw(vae, x, eps).elbo()),
    )


ORDER = np.arange(1, LATENTS + 1)
STEP = ([LATENTS, CONTEXT], [(LATENTS,), (LATENTS,)])
CELLS = (3, 2)
CASES = {
    "MLP": Case(lambda rng, dtype: MLP(4, 5, [3, 2], rng, dtype), [4], [(3,), (2,)]),
    "ResNetEncoder": Case(
        lambda rng, dtype: ResNetEncoder(ODD, 2, 1, False, [3, 2], rng, dtype), [ODD.size], [(3,), (2,)]
    ),
    "ResNetDecoder": Case(
        lambda rng, dtype: ResNetDecoder(3, ODD, 2, 1, False, [4, 1], rng, dtype), [3], [(280,), (70,)]
    ),
    "IAFStep": Case(lambda rng, dtype: IAFStep(MADE(ORDER, 5, 1, CONTEXT, [0.0, 1.5], rng, dtype)), *STEP),
    "IAFStep of two layers": Case(
        lambda rng, dtype: IAFStep(MADE(ORDER, 5, 2, CONTEXT, [0.0, 1.5], rng, dtype)), *STEP
    ),
    "LocationStep": Case(lambda rng, dtype: LocationStep(MADE(ORDER, 5, 1, CONTEXT, [0.0], rng, dtype)), *STEP),
    "MaskedConvs": Case(
        lambda rng, dtype: MaskedConvs(LATENTS, True, 5, 2, CONTEXT, [0.0, 1.5], rng, dtype),
        [6 * LATENTS, 6 * CONTEXT],
        [(*CELLS, LATENTS)] * 2,
        lambda module, z, h: module(tf.reshape(z, [-1, *CELLS, LATENTS]), tf.reshape(h, [-1, *CELLS, CONTEXT])),
    ),
    **{name: whole(settings) for name, settings in SETTINGS.items()},
}
EVERY = pytest.mark.parametrize("name", CASES)


def inputs_of(case, dtype):
    """8-bit grey values, which are pixels where pixels are asked for."""
    rng = np.random.default_rng(1)
    return [tf.constant(rng.integers(0, 256, [BATCH, size]) / 255.0, dtype) for size in case.inputs]


def summed_squares(outputs):
    return tf.add_n([tf.reduce_sum(output**2) for output in outputs])


@pytest.fixture
def make(scramble):
    """The case of a name, its module with weights far from their initial values, and inputs."""

    def build_case(name, dtype=tf.float64):
        case = CASES[name]
        return case, scramble(case.make(np.random.default_rng(0), dtype), scale=0.2), inputs_of(case, dtype)

    return build_case


@EVERY
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_outputs_are_finite_and_of_the_shape_and_dtype_asked_for(dtype, name, make):
    case, module, inputs = make(name, dtype)
    outputs = case.call(module, *inputs)
    assert [output.shape for output in outputs] == [(BATCH, *shape) for shape in case.outputs]
    assert {output.dtype for output in outputs} == {variable.dtype for variable in module.variables} == {dtype}
    assert all(np.all(np.isfinite(output)) for output in outputs)


@EVERY
def test_every_weight_gets_a_gradient(name, make):
    case, module, inputs = make(name)
    with tf.GradientTape() as tape:
        loss = summed_squares(case.call(module, *inputs))
    for variable, gradient in zip(module.variables, tape.gradient(loss, module.variables), strict=True):
        assert gradient is not None, variable.name
        assert np.any(gradient), variable.name
        assert np.all(np.isfinite(gradient)), variable.name


@EVERY
def test_a_saved_module_gives_the_same_numbers_for_any_batch(name, make, tmp_path):
    case, module, inputs = make(name)
    signature = [tf.TensorSpec([None, size], tf.float64) for size in case.inputs]
    module.call = tf.function(lambda *x: case.call(module, *x), input_signature=signature)
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for rows in (slice(None), slice(1)):
        some = [part[rows] for part in inputs]
        for found, expected in zip(loaded.call(*some), case.call(module, *some), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9)


@EVERY
def test_xla_gives_the_same_numbers(name, make):
    case, module, inputs = make(name)
    compiled = tf.function(lambda *x: case.call(module, *x), jit_compile=True)
    for found, expected in zip(compiled(*inputs), case.call(module, *inputs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_configuration_sent_as_json_builds_the_same_weights(name, weights_of):
    config = TrainConfig(**SIZES | SETTINGS[name], seed=5)
    sent = TrainConfig(**json.loads(json.dumps(config.to_dict())))
    for found, expected in zip(weights_of(build(sent, SHAPE)), weights_of(build(config, SHAPE)), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_fresh_model_takes_every_weight_of_a_saved_one(name, scramble, weights_of, tmp_path):
    config = TrainConfig(**SIZES | SETTINGS[name])
    saved, fresh = tf.Module(), build(config, SHAPE)
    model = saved.model = scramble(build(config, SHAPE))
    tf.saved_model.save(saved, str(tmp_path))
    load_weights(fresh, str(tmp_path))
    for found, expected in zip(weights_of(fresh), weights_of(model), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def distances(tmp_path_factory, run_forked):
    """Largest relative difference of outputs and of gradients between two replicas and one device, of each case."""
    path = tmp_path_factory.mktemp("replicas") / "distances.json"
    program = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
    code, said = run_forked(program, __file__, str(path))
    assert code == 0, said
    return json.loads(path.read_text())


@EVERY
@pytest.mark.slow
def test_two_replicas_give_together_what_one_device_gives(name, distances):
    assert max(distances[name]) < 1e-9


def distances_of_two_replicas(strategy, case):
    """Outputs for one row on each replica, and the sum of their gradients, against both rows on one device."""
    inputs = inputs_of(case, tf.float64)

    def make_scrambled():
        rng = np.random.default_rng(2)
        module = case.make(rng, tf.float64)
        for variable in module.variables:
            variable.assign(rng.normal(0.0, 0.2, variable.shape))
        return module

    def run(module, rows):
        with tf.GradientTape() as tape:
            outputs = case.call(module, *rows)
            loss = summed_squares(outputs)
        return outputs, tape.gradient(loss, module.trainable_variables)

    def run_replica():
        context = tf.distribute.get_replica_context()
        i = context.replica_id_in_sync_group
        outputs, gradients = run(mirrored, [part[i : i + 1] for part in inputs])
        return outputs, context.all_reduce("SUM", gradients)

    with strategy.scope():
        mirrored = make_scrambled()
    found, sums = tf.function(lambda: strategy.run(run_replica))()
    outputs, gradients = run(make_scrambled(), inputs)
    results = strategy.experimental_local_results
    return [
        max(distance(np.concatenate(results(part)), output) for part, output in zip(found, outputs, strict=True)),
        max(distance(part, whole) for parts, whole in zip(sums, gradients, strict=True) for part in results(parts)),
    ]


def distance(found, expected):
    return float(np.max(np.abs(found - expected)) / (np.max(np.abs(expected)) + 1e-300))


if __name__ == "__main__":
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found = {name: distances_of_two_replicas(both, case) for name, case in CASES.items()}
    pathlib.Path(sys.argv[2]).write_text(json.dumps(found))
