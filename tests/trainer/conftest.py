"""Small models, toy images and files of them.

Everything that a test file shares is a fixture here, because `--import-mode=importlib` lets no test import another.
"""

import numpy as np
import pytest
import tensorflow as tf

from trainer.images import ImageSet
from trainer.model.build import build
from trainer.settings import TrainConfig
from trainer.shape import Shape


@pytest.fixture(scope="session")
def tiny_config():
    return TrainConfig(
        hidden_size=32,
        latent_size=8,
        iaf_steps=2,
        iaf_hidden_size=16,
        batch_size=16,
        epochs=10,
        learning_rate=5e-3,
        held_out_fraction=0.1,
        eval_samples=3,
        importance_samples=0,
    )


@pytest.fixture(scope="session")
def make_vae():
    """A VAE with its initial weights, of 2x2x3 images and 4 latents unless the settings say otherwise."""
    small = Shape(2, 2, 3)
    sizes = {"hidden_size": 8, "latent_size": 4, "iaf_steps": 3, "iaf_hidden_size": 6, "channels": 2}

    def make(seed=0, shape=small, dtype=tf.float32, **settings):
        return build(TrainConfig(**sizes | settings, seed=seed), shape, dtype)

    return make


@pytest.fixture(scope="session")
def scramble():
    """Replaces every weight of a module, biases too, by a normal draw, so that no law depends on initial values."""

    def scramble_weights(module, scale=0.5, seed=0):
        rng = np.random.default_rng(seed)
        for variable in module.variables:
            variable.assign(rng.normal(0.0, scale, variable.shape))
        return module

    return scramble_weights


@pytest.fixture(scope="session")
def weights_of():
    """Copies of the weights of a module."""
    return lambda module: [variable.numpy() for variable in module.variables]


@pytest.fixture(scope="session")
def make_images():
    """An ImageSet whose left and upper halves are each bright or dark, with noise of each pixel."""

    def make(count, seed=0):
        rng = np.random.default_rng(seed)
        bright = rng.integers(0, 2, [count, 2, 1, 1, 1]) * 110
        left, upper = np.arange(32)[None, :, None] < 16, np.arange(32)[:, None, None] < 16
        pixels = 10 + bright[:, 0] * left + bright[:, 1] * upper + rng.integers(0, 20, [count, 32, 32, 3])
        return ImageSet(pixels.astype(np.uint8), np.sort(rng.choice(2**31 - 1, count, replace=False)))

    return make


@pytest.fixture(scope="session")
def png():
    """An image of 32x32x3 bytes as a PNG."""
    return lambda pixels: tf.io.encode_png(np.reshape(pixels, [32, 32, 3])).numpy()


@pytest.fixture(scope="session")
def example():
    """A serialized Example of an encoded image."""

    def serialize(image, name):
        features = {
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[0])),
            "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
        }
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    return serialize


@pytest.fixture(scope="session")
def write_records():
    """Writes byte strings as a gzipped TFRecord file."""

    def write(path, records):
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for record in records:
                writer.write(record)

    return write
