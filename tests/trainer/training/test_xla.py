"""A TPU's demands that can be checked without one: XLA compiles the whole program, with static shapes."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

import trainer.evaluate
import trainer.training.step
from trainer.evaluate import DRAWS_AT_ONCE, Evaluator, MapImages, quality
from trainer.images import ImageSet
from trainer.model.build import build
from trainer.model.flows import BLOCK
from trainer.presets import PRESETS
from trainer.shape import Shape
from trainer.training.optimizer import build_optimizer
from trainer.training.step import TrainStep

BATCH, SAMPLES, STEPS_PER_EPOCH = 4, 3, 2
SMALL = {
    "ladder_layers": 1,
    "latent_channels": 2,
    "hidden_size": 64,
    "latent_size": 64,
    "iaf_hidden_size": 8,
    "channels": 2,
    "batch_size": BATCH,
    "epochs": 3,
}
ONE = ImageSet(np.zeros([1, 32, 32, 3], np.uint8), np.zeros(1, np.int64))
PLAIN = dataclasses.replace(PRESETS["seed"], **SMALL, iaf_steps=0)
CONFIGS = {
    **{
        name: dataclasses.replace(preset, **SMALL, iaf_steps=min(preset.iaf_steps, 2))
        for name, preset in PRESETS.items()
        if name not in ("smoke", "default", "ladder_small")  # the networks of `mlp`, `resnet` and `ladder`
    },
    "flow in blocks": dataclasses.replace(PLAIN, iaf_hidden_size=2 * BLOCK, iaf_steps=1, iaf_layers=2),
    "IWAE": dataclasses.replace(PLAIN, objective="iwae", train_samples=2),
    "relaxed": dataclasses.replace(PLAIN, kl_warmup_epochs=1.0, free_bits=0.1),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)
EVERY_MODEL = pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"mlp", "IWAE", "relaxed"}))
EVERY_LOSS = pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"mlp"}))  # whose loss is that of `seed`

# A size that depends on values; or a call of the host, or of a kernel that another kind of device may not have.
NOT_FOR_A_TPU = re.compile(r"\[[^\]]*(?:<=|\?)[^\]]*\]|\b(?:custom-call|infeed|outfeed|send|recv)\S*\(")


def hlo(function, *arguments):
    """The whole program that XLA is given."""
    compiled = tf.function(function, jit_compile=True)
    return compiled.experimental_get_compiler_ir(*arguments)(stage="hlo")


@pytest.fixture
def start():
    def make(name, **changes):
        config = dataclasses.replace(CONFIGS[name], **changes)
        model = build(config, Shape(32, 32, 3))
        optimizer = build_optimizer(config, model.trainable_variables, STEPS_PER_EPOCH)
        return model, TrainStep(tf.distribute.get_strategy(), config, model, optimizer, STEPS_PER_EPOCH)

    return make


@pytest.fixture
def evaluations(monkeypatch):
    """The functions of images that the ELBO and the closer look map over replicas."""
    functions = []

    class Mapped:
        def __init__(self, function, *_):
            functions.append(function)

        def __call__(self, _):
            raise StopIteration

    monkeypatch.setattr(trainer.evaluate, "MapImages", Mapped)

    def find(model):
        Evaluator(model, SAMPLES)
        with pytest.raises(StopIteration):
            quality(model, ONE, np.zeros(1), SAMPLES)
        return functions

    return find


def test_the_pattern_knows_what_is_not_for_a_tpu():
    x = tf.range(5.0)
    assert NOT_FOR_A_TPU.search(hlo(lambda x: tf.boolean_mask(x, x > 2.0), x))
    assert NOT_FOR_A_TPU.search(hlo(lambda x: tf.linalg.qr(x[:, None])[0], x)), "a custom call on this device"
    assert not NOT_FOR_A_TPU.search(hlo(lambda x: tf.boolean_mask(x, [True, False] * 2 + [True]), x))


@EVERY
def test_a_replicas_whole_step_compiles_with_static_shapes(name, start):
    _, step = start(name)
    shards = tf.zeros([2, BATCH, 32, 32, 3], tf.uint8)
    text = hlo(step._replica_step, shards, tf.constant(1), tf.constant(5), tf.constant(0.0))
    assert not NOT_FOR_A_TPU.search(text)


def test_calls_of_several_lengths_are_each_traced_once_with_shapes_known_beforehand(start, make_images, monkeypatch):
    shapes, replica_step = [], TrainStep._replica_step

    def look(self, shards, *rest):
        shapes.append(shards.shape.as_list())
        return replica_step(self, shards, *rest)

    monkeypatch.setattr(TrainStep, "_replica_step", look)
    _, step = start("mlp", iaf_steps=0)
    for count in (3, 1, 3, 2, 1):
        rows = np.arange(count * BATCH).reshape(count, BATCH)
        assert np.isfinite(step(make_images(3 * BATCH).pixels, rows, 0).elbo).all()
    assert list(map(tuple, shapes)) == [(count, BATCH, 32, 32, 3) for count in (3, 1, 2)]


@EVERY_MODEL
def test_an_evaluation_compiles_with_static_shapes_its_noise_too(name, start, evaluations):
    model, _ = start(name)
    pixels, seeds = tf.zeros([BATCH, 32, 32, 3], tf.uint8), tf.range(BATCH, dtype=tf.int64)
    for function in evaluations(model):
        assert not NOT_FOR_A_TPU.search(hlo(function, pixels, seeds))


@EVERY_LOSS
def test_with_the_same_noise_a_step_is_the_same_compiled_or_not(name, start, make_images, scramble, monkeypatch):
    monkeypatch.setattr(trainer.training.step, "multiplies_bfloat16", lambda: False)  # whose rounding hides differences
    model, step = start(name)
    scramble(model, scale=0.05)
    pixels, number = tf.constant(make_images(BATCH).pixels), tf.constant(1)
    eps = tf.random.stateless_normal([CONFIGS[name].train_samples, BATCH, model.latent_size], [0, 0])
    gradients, elbo = tf.function(step._shard_gradients, jit_compile=True)(pixels, eps, number)
    expected_gradients, expected_elbo = step._shard_gradients(pixels, eps, number)
    np.testing.assert_allclose(elbo, expected_elbo, rtol=1e-5)
    assert tf.linalg.global_norm(expected_gradients) > 1.0
    for found, expected in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "is_compiled"), [("mlp", True), ("resnet", False), ("ladder", False)])
def test_xla_compiles_products_and_not_convolutions(name, is_compiled, start):
    model, step = start(name)
    pixels, eps = tf.zeros([BATCH, 32, 32, 3], tf.uint8), tf.zeros([1, BATCH, model.latent_size])
    traced = step._gradients.get_concrete_function(pixels, eps, tf.constant(0))
    assert traced.function_def.attr["_XlaMustCompile"].b is is_compiled


@pytest.mark.parametrize("count", [1, 7, 20, 23])
def test_every_batch_of_a_set_has_one_shape_and_every_image_is_counted_once(count, make_images, monkeypatch):
    monkeypatch.setattr(trainer.evaluate, "DRAWS_AT_ONCE", 10)
    images, shapes = make_images(count), []

    def look(pixels, seeds):
        shapes.append((pixels.shape, seeds.shape))
        return tf.cast(pixels[:, 0, 0, 0], tf.int64), seeds

    first, seeds = MapImages(look, samples=1, strategy=None)(images)
    np.testing.assert_array_equal(first, images.pixels[:, 0, 0, 0])
    np.testing.assert_array_equal(seeds, images.noise_seeds)
    assert shapes == [((min(10, count), 32, 32, 3), (min(10, count),))], "another shape would be traced again"


@pytest.mark.parametrize("samples", [1, 3, DRAWS_AT_ONCE + 1])
def test_the_draws_of_a_batch_are_bounded(samples, make_images):
    sizes = []

    def look(pixels, _):
        sizes.append(len(pixels))
        return (pixels[:, 0],)

    MapImages(look, samples, strategy=None)(make_images(5))
    assert sizes == [max(1, min(5, DRAWS_AT_ONCE // samples))]
    sizes.clear()
    large = ImageSet(np.zeros([3, 1024, 1024, 3], np.uint8), np.arange(3))
    MapImages(look, samples, strategy=None)(large)
    assert sizes == [1], "an image has as many values as a batch of CIFAR-10's"
