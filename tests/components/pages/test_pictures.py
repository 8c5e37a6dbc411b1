import numpy as np
import pytest
import tensorflow as tf

from components.pages.pictures import image_grid, scale, shown
from trainer.shape import Shape


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
    small = np.random.default_rng(0).integers(0, 256, [2, 48, 48, 3], dtype=np.uint8)
    np.testing.assert_array_equal(shown(small), small)
    large = np.random.default_rng(1).integers(0, 256, [2, 96, 96, 4], dtype=np.uint8)
    means = large.reshape(2, 48, 2, 48, 2, 4).mean((2, 4))
    np.testing.assert_allclose(shown(large), means, atol=0.51)


@pytest.mark.parametrize(("size", "expected"), [((28, 28), (28, 28)), ((512, 512), (48, 48)), ((20, 300), (12, 186))])
def test_the_aspect_ratio_stays(size, expected):
    assert shown(np.zeros([1, *size, 1], np.uint8)).shape == (1, *expected, 1)


@pytest.mark.parametrize(("shape", "expected"), [((512, 256, 4), "68x34 of 512x256"), ((48, 48, 3), "")])
def test_the_scale_is_told_of_images_that_are_larger_than_they_are_shown(shape, expected):
    assert scale(Shape(*shape)) == expected
