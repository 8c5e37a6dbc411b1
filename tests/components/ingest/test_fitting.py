"""A fitted image is the mean of the areas of its centre."""

import numpy as np
import pytest

from components.ingest.fitting import fit
from trainer.shape import Shape


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((12, 20), slice(0, 12), slice(4, 16)),
        ((21, 12), slice(4, 16), slice(0, 12)),
        ((12, 12), slice(0, 12), slice(0, 12)),
    ],
    ids=["wide", "high", "square"],
)
def test_a_pixel_is_the_mean_of_its_area_of_the_centre(size, rows, columns, rng):
    pixels = rng.integers(0, 256, [*size, 3], dtype=np.uint8)
    means = pixels[rows, columns].reshape(4, 3, 4, 3, 3).mean(axis=(1, 3))
    assert np.abs(fit(pixels, Shape(4, 4, 3)) - means).max() <= 0.5 + 1e-4


def test_areas_that_are_no_whole_pixels_count_by_their_part():
    pixels = np.array([[[0], [90], [240]]] * 3, np.uint8)
    np.testing.assert_array_equal(fit(pixels, Shape(2, 2, 1))[:, :, 0], [[30, 190]] * 2)


@pytest.mark.parametrize("shape", [Shape(6, 4, 3), Shape(3, 10, 3)], ids=str)
def test_a_crop_has_the_aspect_ratio_of_the_shape(shape):
    """Of an image whose left half is black only a centre crop has as much black as white."""
    pixels = np.zeros([30, 40, 3], np.uint8)
    pixels[:, 20:] = 255
    found = fit(pixels, shape)
    assert found.shape == shape
    assert found.mean() == pytest.approx(127.5, abs=0.5)


@pytest.mark.parametrize("given", [1, 2, 3, 4])
@pytest.mark.parametrize("wanted", [1, 3, 4])
def test_channels_are_converted(given, wanted, rng):
    pixels = rng.integers(0, 256, [5, 5, given], dtype=np.uint8)
    colour, alpha = (pixels[..., :1], pixels[..., 1:]) if given < 3 else (pixels[..., :3], pixels[..., 3:])
    if wanted == 1:
        expected = colour if given < 3 else colour @ [[0.299], [0.587], [0.114]]
    else:
        expected = np.broadcast_to(colour, [5, 5, 3])
    if wanted == 4:
        expected = np.concatenate([expected, alpha if alpha.size else np.full([5, 5, 1], 255)], axis=-1)
    assert np.abs(fit(pixels, Shape(5, 5, wanted)) - expected).max() <= 0.5 + 1e-3
