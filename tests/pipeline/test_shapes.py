"""The whole pipeline on images of other shapes than CIFAR-10's: the shape travels from the data to the served model."""

import numpy as np
import pytest
import tensorflow as tf

from pipeline import words
from series import Series, gradients, report
from toy_data import png, write_toy
from trainer.units import read_units

pytestmark = pytest.mark.slow

GREY, LARGE, NARROW = (28, 28, 1), (64, 64, 3), (21, 34, 4)
RESNETS = ["--set=encoder=GaussianResNet", "--set=decoder=DiscretizedLogisticResNet", "--set=channels=2"]


@pytest.fixture
def start(tmp_path, capfd):
    """Runs the pipeline on images of a shape, which the data set declares or leaves to its images."""

    def run(shape, *arguments, declared=None, name="data"):
        rows = gradients("train", 64, 0, shape), gradients("test", 16, 1000, shape)
        data_dir = write_toy(tmp_path / name, *rows, shape=declared or shape)
        series = Series(tmp_path / "root", data_dir, capfd)
        return series, *series.run(*arguments)

    return run


@pytest.mark.parametrize(
    ("shape", "declared", "arguments"),
    [
        (GREY, GREY, ["--set=horizontal_flips=true"]),
        (LARGE, (None, None, 3), []),
        (NARROW, NARROW, RESNETS),
    ],
    ids=["grey", "large, left to the images", "narrow RGBA by ResNets"],
)
def test_a_pushed_model_has_the_shape_of_the_data(shape, declared, arguments, start):
    series, code, console = start(shape, *arguments, declared=declared)
    assert code == words.PUSHED, console
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
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["encode"](images=tf.constant([png(1, (shape[1], shape[0] + 1, shape[2]))]))
    assert ("bits/dim" in report(console)) == (arguments == RESNETS)


def test_models_of_other_shapes_are_never_compared(start):
    assert start(GREY)[1] == words.PUSHED
    _, code, console = start((28, 20, 1), name="cropped")
    assert code == words.BAD_INPUT
    assert "images of 28x20x1" in console
    assert "images of 28x28x1" in console
    assert "training on" not in console
