"""The whole pipeline on images of other shapes than CIFAR-10's: the shape travels from the data to the served model."""

import numpy as np
import pytest
import tensorflow as tf

from series import Series, gradients, report
from toy_data import png, write_toy
from trainer import exit_codes
from trainer.units import read_units

pytestmark = pytest.mark.slow

GREY, LARGE, NARROW = (28, 28, 1), (64, 64, 3), (21, 34, 4)
RESNETS = ["--set=encoder=GaussianResNet", "--set=decoder=DiscretizedLogisticResNet", "--set=channels=2"]


@pytest.fixture
def start(tmp_path, capfd):
    """Runs the pipeline in one root on images of a shape, which the data set declares or leaves to its images."""

    def run(shape, *arguments, declared=None):
        rows = gradients("train", 64, 0, shape), gradients("test", 16, 1000, shape)
        data_dir = write_toy(tmp_path / "x".join(map(str, shape)), *rows, shape=declared or shape)
        series = Series(tmp_path / "root", data_dir, capfd)
        return series, *series.run(*arguments)

    return run


def assert_served(series, shape):
    """The only version states this shape, and all its signatures have it."""
    (version,) = series.versions()
    model = f"{series.pushed}/{version}"
    assert read_units(model).shape == "x".join(map(str, shape))
    signatures = tf.saved_model.load(model).signatures
    encoded = tf.constant([png(1, shape), png(2, shape)])
    pixels = tf.stack([tf.io.decode_image(image) for image in encoded])
    reconstructed = signatures["reconstruct"](images=encoded)["images"]
    assert reconstructed.shape == (2, *shape)
    np.testing.assert_array_equal(signatures["reconstruct_pixels"](images=pixels)["images"], reconstructed)
    assert signatures["sample"](n=tf.constant(3), seed=tf.constant(0))["images"].shape == (3, *shape)
    height, width, channels = shape
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["encode"](images=tf.constant([png(1, (height, width + 1, channels))]))


def test_large_images_whose_data_set_leaves_their_size_open(start):
    series, code, console = start(LARGE, declared=(None, None, 3))
    assert code == exit_codes.DONE, console
    assert_served(series, LARGE)


def test_narrow_images_with_alpha_by_resnets(start):
    series, code, console = start(NARROW, *RESNETS)
    assert code == exit_codes.DONE, console
    assert_served(series, NARROW)
    assert "bits/dim" in report(console)


def test_grey_images_and_no_comparison_with_a_model_of_another_shape(start):
    series, code, console = start(GREY, "--set=horizontal_flips=true")
    assert code == exit_codes.DONE, console
    assert_served(series, GREY)
    _, code, console = start((28, 20, 1))
    assert code == exit_codes.BAD_INPUT
    assert "images of 28x20x1" in console
    assert "images of 28x28x1" in console
    assert "training on" not in console
