import numpy as np
import pytest
import tensorflow as tf

from components.pages.pictures import elbo_curve, image_grid


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


def test_the_curve_is_a_picture_that_changes_with_the_numbers(history):
    before = elbo_curve(history)
    history["epochs"][1]["test"]["elbo"] += 5.0
    assert tf.io.decode_png(before).shape[-1] in (3, 4)
    assert elbo_curve(history) != before


@pytest.mark.parametrize("epochs", [[np.nan], [np.nan, np.inf, -np.inf], [-1.0, np.nan, 2.0]])
def test_the_curve_can_be_drawn_of_numbers_that_are_not_finite(epochs):
    rows = [{"epoch": i, "train_elbo": v, "held_out": {"elbo": v}, "test": {"elbo": v}} for i, v in enumerate(epochs)]
    assert tf.io.decode_png(elbo_curve({"epochs": rows, "best_epoch": 0})).shape[0] > 100
