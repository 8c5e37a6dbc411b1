"""The report's pictures, of models by their signatures and of models of noise."""

import types

import numpy as np
import pytest
import tensorflow as tf

from components.gate.extremes import KEPT, Extremes, ImageELBO
from components.pages.interpolation import STEPS, interpolation, line
from components.pages.looks import COLUMNS, ENDS, TEMPERATURES, looks
from components.pages.pictures import IMAGES
from exported import export_without_temperature, push
from toy_data import pixels, png, serialized
from trainer.exported import Exported
from trainer.images import fingerprint
from trainer.shape import Shape

COUNT, SHAPE = 30, Shape(8, 6, 3)


def write(folder, images):
    """Writes images, encoded, as Examples of a split; returns its folder and their fingerprints."""
    ids = [f"id_{i:02d}" for i in range(len(images))]
    with tf.io.TFRecordWriter(str(folder / "examples.gz"), "GZIP") as writer:
        for name, image in zip(ids, images, strict=True):
            writer.write(serialized(name, image, 0))
    return str(folder), fingerprint(tf.constant(ids), tf.constant(images)).numpy().tolist()


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return write(tmp_path_factory.mktemp("split"), [png(i, SHAPE) for i in range(COUNT)])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [Exported(str(push(folder, version, SHAPE))) for version in (1, 2)]


@pytest.fixture(scope="module")
def extremes(split):
    """The last images are the best, from the last one on, and two of the first the worst; one is nowhere."""
    _, numbers = split
    of = lambda number: ImageELBO(-100.0, number, -90.0, 10.0)  # noqa: E731
    unknown = of(next(i for i in range(2**31) if i not in numbers))
    return Extremes(tuple(map(of, numbers[:-4:-1])), (of(numbers[1]), unknown, of(numbers[0])))


@pytest.fixture(scope="module")
def found(models, split, extremes):
    return looks(*models, [split[0]], extremes)


def cells(picture, columns):
    """The images of a grid, [rows, columns, H, W, C]."""
    grid = tf.io.decode_png(picture).numpy()
    height, width, channels = SHAPE
    return grid.reshape(-1, height, columns, width, channels).transpose(0, 2, 1, 3, 4)


def test_images_are_above_their_reconstructions_by_both_models(found, models, split):
    originals, *rows = cells(found.reconstructions.png, IMAGES)
    np.testing.assert_array_equal(originals, [pixels(i, SHAPE) for i in range(IMAGES)])
    assert found.rows == ["test images", "this model", "served model"]
    encoded = tf.constant([png(i, SHAPE) for i in range(IMAGES)])
    for model, row in zip(models, rows, strict=True):
        np.testing.assert_array_equal(row, model.reconstruct(encoded))
    assert not np.array_equal(*rows)


def test_each_temperature_has_a_row_of_the_same_draws(found, models):
    rows = cells(found.samples.png, COLUMNS)
    assert len(rows) == len(TEMPERATURES)
    for row, temperature in zip(rows, TEMPERATURES, strict=True):
        np.testing.assert_array_equal(row, models[0].sample(COLUMNS, 0, temperature))


def test_a_way_between_two_images_begins_and_ends_at_their_reconstructions(found, models):
    rows = cells(found.interpolation.png, STEPS + 2)
    originals = np.array([pixels(i, SHAPE) for i in range(ENDS)])
    reconstructed = models[0].reconstruct(tf.constant([png(i, SHAPE) for i in range(ENDS)]))
    for end, (column, step) in enumerate(((0, 1), (-1, -2))):
        np.testing.assert_array_equal(rows[:, column], originals[end::2])
        np.testing.assert_array_equal(rows[:, step], reconstructed[end::2])


def test_the_points_of_a_line_are_equidistant():
    ends = np.random.default_rng(0).normal(size=[4, 7])
    points = line(ends, STEPS)
    np.testing.assert_array_equal(points[:, 0], ends[0::2])
    np.testing.assert_array_equal(points[:, -1], ends[1::2])
    steps = np.diff(points, axis=1)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), atol=1e-12)


def test_a_model_of_an_earlier_version_has_no_ways_between_images(tmp_path, split):
    earlier = Exported(str(export_without_temperature(tmp_path / "earlier", SHAPE)))
    assert interpolation(earlier, tf.constant([png(0, SHAPE), png(1, SHAPE)])) is None


def test_extreme_images_are_found_by_their_fingerprints_in_their_order(found, models):
    assert [one.id for one in found.best] == ["id_29", "id_28", "id_27"]
    assert [one.id for one in found.worst] == ["id_01", "id_00"], "without the one that no file has"
    image, reconstruction = cells(found.worst[0].picture.png, 1)
    np.testing.assert_array_equal(image[0], pixels(1, SHAPE))
    np.testing.assert_array_equal(reconstruction, models[0].reconstruct(tf.constant([png(1, SHAPE)])))


def test_every_picture_has_a_name_of_its_own_and_an_alternative_text(found):
    pictures = list(found.pictures())
    assert len({picture.name for picture in pictures}) == len(pictures) == 3 + 5
    assert all(picture.alt for picture in pictures)
    assert "id_29" in found.best[0].picture.alt


@pytest.mark.parametrize("shape", [(512, 512, 4), (48, 48, 4), (20, 120, 4)])
def test_the_pictures_of_images_of_any_size_leave_room_on_a_page_of_two_megabytes(shape, tmp_path):
    """The worst case: images of noise, which PNG cannot compress, at the largest numbers of everything."""
    shape, rng = Shape(*shape), np.random.default_rng(0)
    noise = rng.integers(0, 256, [3 * STEPS, *shape], dtype=np.uint8)
    split, numbers = write(tmp_path, [tf.io.encode_png(image).numpy() for image in noise[: 2 * KEPT]])
    model = types.SimpleNamespace(
        shape=shape,
        reconstruct=lambda images: noise[: len(images)],
        sample=lambda count, seed, temperature: noise[:count],
        encode=lambda images: np.zeros([len(images), 2], np.float32),
        decode=lambda latents: noise[: len(latents)],
    )
    of = [ImageELBO(0.0, number, 0.0, 0.0) for number in numbers]
    found = looks(model, model, [split], Extremes(tuple(of[:KEPT]), tuple(of[KEPT:])))
    size = sum(len(picture.png) for picture in found.pictures()) * 4 / 3  # as base64
    assert size < 1_500_000, "and charts, text and comparisons take the rest"
    assert found.scale or size > 1_000_000, "the images are noise, or the law is empty"
