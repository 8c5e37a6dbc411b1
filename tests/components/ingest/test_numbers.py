import math

import numpy as np
import pytest

from components.ingest import numbers
from components.ingest.numbers import NUMBERS, image_numbers
from toy_data import pixels


def of(image, size=7):
    """The numbers of one image."""
    found = image_numbers(np.asarray(image, np.uint8)[None], [b"." * size])
    assert tuple(found) == NUMBERS
    return {name: float(column[0]) for name, column in found.items()}


def test_numbers_are_those_of_their_equations():
    image = pixels(0, (5, 4, 3))
    y = (image / 255) @ [0.299, 0.587, 0.114]
    rows, columns = y.shape
    at = lambda i, j: y[min(max(i, 0), rows - 1), min(max(j, 0), columns - 1)]  # noqa: E731  the edge repeats
    curves = [
        4 * y[i, j] - at(i - 1, j) - at(i + 1, j) - at(i, j - 1) - at(i, j + 1)
        for i in range(rows)
        for j in range(columns)
    ]
    shares = np.unique(np.round(y * 255), return_counts=True)[1] / y.size
    assert of(image, size=123) == pytest.approx(
        {
            "brightness": y.mean(),
            "contrast": math.sqrt(((y - y.mean()) ** 2).mean()),
            "saturation": np.mean([(max(p) - min(p)) / max(p) for p in image.reshape(-1, 3).astype(float)]),
            "sharpness": math.sqrt(np.mean(np.square(curves))),
            "entropy": -(shares * np.log2(shares)).sum(),
            "bytes": 123,
        },
        rel=1e-5,
    )


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.zeros([3, 3, 3]), {"brightness": 0, "contrast": 0, "saturation": 0, "sharpness": 0, "entropy": 0}),
        (np.full([1, 1, 1], 255), {"brightness": 1, "contrast": 0, "saturation": 0, "sharpness": 0, "entropy": 0}),
        (np.full([2, 3, 3], [255, 0, 0]), {"brightness": 0.299, "saturation": 1, "sharpness": 0, "entropy": 0}),
        (np.arange(256).reshape(16, 16, 1), {"brightness": 0.5, "saturation": 0, "entropy": 8}),
        (np.indices([4, 4]).sum(axis=0)[..., None] % 2 * 255, {"brightness": 0.5, "contrast": 0.5, "entropy": 1}),
    ],
    ids=["black", "white", "red", "all levels", "chess board"],
)
def test_numbers_of_known_images(image, expected):
    found = of(image)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_alpha_does_not_count():
    image = pixels(1, (6, 7, 4))
    assert of(image) == of(image[..., :3])


def test_shuffled_pixels_keep_all_but_their_sharpness():
    image = np.repeat(np.repeat(pixels(2, (4, 4, 3)), 4, axis=0), 4, axis=1)  # smooth
    shuffled = np.random.default_rng(0).permutation(image.reshape(-1, 3)).reshape(image.shape)
    before, after = of(image), of(shuffled)
    assert after.pop("sharpness") > 1.5 * before.pop("sharpness")
    assert after == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize("at_once", [1, 100])
def test_an_image_has_the_same_numbers_in_any_batch(at_once, monkeypatch):
    images = np.stack([pixels(seed, (5, 4, 3)) for seed in range(5)])
    monkeypatch.setattr(numbers, "VALUES_AT_ONCE", at_once)
    found = image_numbers(images, [b"." * (i + 1) for i in range(5)])
    for i, image in enumerate(images):
        assert {name: float(column[i]) for name, column in found.items()} == of(image, size=i + 1)
