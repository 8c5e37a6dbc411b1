import base64
import types

import numpy as np
import pytest
import tensorflow as tf

import components.pages.pictures
from components.pages.pictures import IMAGES, SAMPLES, elbo_curve, image_grid, pictures, shown
from toy_data import serialized
from trainer.shape import Shape


@pytest.fixture
def history():
    epochs = [
        {"epoch": i, "train_elbo": -2000.0 + i, "held_out": {"elbo": -1990.0 + i}, "test": {"elbo": -1995.0 + i}}
        for i in (1, 2, 3)
    ]
    return {"best_epoch": 3, "epochs": epochs}


def test_a_grid_has_each_image_in_its_place():
    images = np.random.default_rng(0).integers(0, 256, [6, 32, 32, 3], dtype=np.uint8)
    grid = tf.io.decode_png(image_grid(images, columns=3)).numpy()
    assert grid.shape == (64, 96, 3)
    for i, image in enumerate(images):
        row, column = divmod(i, 3)
        np.testing.assert_array_equal(grid[32 * row : 32 * row + 32, 32 * column : 32 * column + 32], image)


def test_the_rest_of_the_last_row_of_a_grid_is_white():
    images = np.zeros([4, 8, 6, 1], np.uint8)
    grid = tf.io.decode_png(image_grid(images, columns=3)).numpy()
    assert grid.shape == (16, 18, 1)
    assert np.all(grid[8:, 6:] == 255)
    assert not np.any(grid[:8])
    assert not np.any(grid[8:, :6])


def test_small_images_are_shown_as_they_are_and_large_ones_by_the_mean_of_each_area():
    small = np.random.default_rng(0).integers(0, 256, [2, 64, 64, 3], dtype=np.uint8)
    np.testing.assert_array_equal(shown(small), small)
    large = np.random.default_rng(1).integers(0, 256, [2, 128, 128, 4], dtype=np.uint8)
    means = large.reshape(2, 64, 2, 64, 2, 4).mean((2, 4))
    np.testing.assert_allclose(shown(large), means, atol=0.51)


@pytest.mark.parametrize(("size", "expected"), [((28, 28), (28, 28)), ((512, 512), (64, 64)), ((20, 300), (17, 248))])
def test_the_aspect_ratio_stays(size, expected):
    assert shown(np.zeros([1, *size, 1], np.uint8)).shape == (1, *expected, 1)


@pytest.mark.parametrize(("shape", "scale"), [((512, 512, 4), "64x64 of 512x512"), ((32, 32, 3), "")])
def test_the_pictures_of_images_of_any_size_fit_in_a_page_of_two_megabytes(shape, scale, tmp_path, monkeypatch):
    """The worst case: images of noise, which PNG cannot compress."""
    noise = np.random.default_rng(0).integers(0, 256, [SAMPLES, *shape], dtype=np.uint8)
    images = [serialized(f"{i:02d}", tf.io.encode_png(image).numpy(), 0) for i, image in enumerate(noise[:IMAGES])]
    with tf.io.TFRecordWriter(str(tmp_path / "examples.gz"), "GZIP") as writer:
        for image in images:
            writer.write(image)
    model = types.SimpleNamespace(
        shape=Shape(*shape), reconstruct=lambda images: noise[: len(images)], sample=lambda count, seed: noise[:count]
    )
    monkeypatch.setattr(components.pages.pictures, "Exported", lambda _: model)
    found = pictures("model", [str(tmp_path)])
    assert found.scale == scale
    size = sum(len(base64.b64encode(picture)) for picture in (found.pairs, found.samples))
    assert size < 1_700_000, "and the curve and the text take the rest"
    if not scale:
        np.testing.assert_array_equal(tf.io.decode_png(found.samples)[:32, 32:64], noise[1])


def test_the_curve_is_a_picture_that_changes_with_the_numbers(history):
    before = elbo_curve(history)
    history["epochs"][1]["test"]["elbo"] += 5.0
    assert tf.io.decode_png(before).shape[-1] in (3, 4)
    assert elbo_curve(history) != before


@pytest.mark.parametrize("epochs", [[np.nan], [np.nan, np.inf, -np.inf], [-1.0, np.nan, 2.0]])
def test_the_curve_can_be_drawn_of_numbers_that_are_not_finite(epochs):
    rows = [{"epoch": i, "train_elbo": v, "held_out": {"elbo": v}, "test": {"elbo": v}} for i, v in enumerate(epochs)]
    assert tf.io.decode_png(elbo_curve({"epochs": rows, "best_epoch": 0})).shape[0] > 100
