"""Images survive files, bytes and batches unchanged."""

import gzip

import numpy as np
import pytest
import tensorflow as tf

import trainer.images
from trainer.errors import UserError
from trainer.images import (
    ImageSet,
    decode,
    first_examples,
    hold_out,
    load_images,
    mirror,
    noise_seed,
    pixel_model,
    preprocessing,
    shape_of,
    shuffled_batches,
    to_bytes,
    to_unit_interval,
)
from trainer.shape import Shape
from trainer.storage.rows import TemporaryArray

SHAPE = Shape(32, 32, 3)
SAME_SEED_IDS = ["train_22458", "train_52710"]  # two ids that hash to one noise seed


@pytest.fixture
def images(make_images):
    return make_images(23)


def not_images():
    noise = np.random.default_rng(0).integers(0, 256, [32, 32, 3], np.uint8)
    whole = tf.io.encode_png(noise).numpy()
    return {
        "empty": b"",
        "garbage": b"not an image",
        "truncated": whole[: len(whole) // 2],
        "small": tf.io.encode_png(noise[:8, :8]).numpy(),
        "grey": tf.io.encode_png(noise[..., :1]).numpy(),
        "transposed": tf.io.encode_png(noise.reshape(16, 64, 3)).numpy(),
    }


def content(images):
    """The images as a set of (noise seed, bytes)."""
    return {(int(seed), pixels.tobytes()) for pixels, seed in zip(images.pixels, images.noise_seeds, strict=True)}


def test_a_png_decodes_exactly(png):
    pixels = np.random.default_rng(0).integers(0, 256, [4, 32, 32, 3], np.uint8)
    np.testing.assert_array_equal(decode(tf.constant([png(image) for image in pixels]), SHAPE), pixels)


@pytest.mark.parametrize("kind", not_images())
def test_bytes_that_are_no_such_image_are_refused(kind, png):
    whole = png(np.zeros(SHAPE, np.uint8))
    decode(tf.constant([whole, whole]), SHAPE)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(tf.constant([whole, not_images()[kind]]), SHAPE)


def test_to_bytes_undoes_to_unit_interval_for_every_grey_level():
    levels = np.resize(np.arange(256, dtype=np.uint8), [2, SHAPE.size])
    x = to_unit_interval(tf.constant(levels))
    np.testing.assert_allclose(x, levels / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(to_bytes(x), levels)


def test_the_chosen_images_are_mirrored_left_to_right_and_the_others_are_left(images):
    which = np.random.default_rng(0).integers(0, 2, len(images)).astype(bool)
    expected = np.where(which[:, None, None, None], images.pixels[:, :, ::-1], images.pixels)
    np.testing.assert_array_equal(mirror(tf.constant(images.pixels), tf.constant(which)), expected)


def test_preprocess_decodes_rescales_and_keeps_the_id(images, png):
    features = {"image": tf.constant([png(image) for image in images.pixels]), "id": tf.constant(["a"] * len(images))}
    result = preprocessing(SHAPE)(features)
    np.testing.assert_allclose(result["image"], images.pixels.reshape(len(images), -1) / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(result["id"], features["id"])


def test_an_image_keeps_its_noise_seed_wherever_it_is_read(tmp_path, images, png, example, write_records):
    ids = [f"test_{i}" for i in range(len(images))]
    write_records(tmp_path / "a", [example(png(image), name) for name, image in zip(ids, images.pixels, strict=True)])
    assert content(load_images([str(tmp_path / "a")], preprocessing(SHAPE), SHAPE)) == content(
        ImageSet(images.pixels, noise_seed(ids).numpy())
    )


def test_the_first_examples_are_those_of_the_first_ids_in_any_files(tmp_path, images, png, example, write_records):
    records = [example(png(image), f"test_{i:02d}") for i, image in enumerate(images.pixels)]
    for i in range(2):
        write_records(tmp_path / f"part-{i}", records[::-1][i::2])
    assert first_examples([str(tmp_path / "part-*")], 3) == records[:3]
    assert first_examples([str(tmp_path / "part-*")], 99) == records


@pytest.mark.parametrize("ids", [[], SAME_SEED_IDS], ids=["any ids", "two ids of one seed"])
def test_the_split_and_order_of_the_files_do_not_matter(ids, tmp_path, images, png, example, write_records):
    names = [*ids, *(f"test_{i}" for i in range(len(ids), len(images)))]
    records = [example(png(image), name) for name, image in zip(names, images.pixels, strict=True)]
    write_records(tmp_path / "one", records)
    for i in range(3):
        write_records(tmp_path / f"part-{i}", records[::-1][i::3])
    whole = load_images([str(tmp_path / "one")], preprocessing(SHAPE), SHAPE)
    parts = load_images([str(tmp_path / "part-[12]"), str(tmp_path / "part-0")], preprocessing(SHAPE), SHAPE)
    np.testing.assert_array_equal(whole.noise_seeds, parts.noise_seeds)
    np.testing.assert_array_equal(whole.pixels, parts.pixels)


@pytest.mark.parametrize("ids", [[], SAME_SEED_IDS], ids=["any ids", "two ids of one seed"])
def test_images_on_disk_are_those_in_memory_to_the_bit(ids, tmp_path, png, example, write_records, monkeypatch):
    monkeypatch.setattr(trainer.images, "READ_VALUES", 100 * SHAPE.size)
    monkeypatch.setattr(trainer.images, "CHUNK_BYTES", 70 * SHAPE.size)
    pixels = np.random.default_rng(0).integers(0, 256, [360, *SHAPE], np.uint8)  # a little more than 1 MiB
    names = [*ids, *(f"test_{i}" for i in range(len(ids), len(pixels)))]
    write_records(tmp_path / "a", [example(png(image), name) for name, image in zip(names, pixels, strict=True)])
    memory, least, disk = (
        load_images([str(tmp_path / "a")], preprocessing(SHAPE), SHAPE, limit) for limit in (2, 1, 0)
    )
    assert [type(images.pixels) for images in (memory, least, disk)] == [np.ndarray, TemporaryArray, TemporaryArray]
    for images in (least, disk):
        np.testing.assert_array_equal(images.pixels[np.arange(360)], memory.pixels)
        np.testing.assert_array_equal(images.noise_seeds, memory.noise_seeds)
        assert images.digest() == memory.digest()
    for ours, theirs in zip(pixel_model(disk), pixel_model(memory), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    part = disk.take(np.array([300, 2, 7])).take(np.array([2, 0]))
    np.testing.assert_array_equal(part.pixels[slice(0, 2)], memory.pixels[[7, 300]])
    assert part.digest() == memory.take(np.array([7, 300])).digest()


@pytest.mark.parametrize("shape", [Shape(28, 28, 1), Shape(5, 9, 4)], ids=str)
def test_images_have_the_shape_that_their_files_give(shape, tmp_path, example, write_records):
    pixels = np.random.default_rng(0).integers(0, 256, [3, *shape], np.uint8)
    write_records(tmp_path / "a", [example(tf.io.encode_png(image).numpy(), str(i)) for i, image in enumerate(pixels)])
    files = [str(tmp_path / "a")]
    assert shape_of(files) == shape
    images = load_images(files, preprocessing(shape), shape)
    assert images.shape == shape
    np.testing.assert_array_equal(images.pixels, pixels)


def test_a_first_image_of_another_number_of_channels_is_refused(tmp_path, example, write_records):
    write_records(tmp_path / "a", [example(tf.io.encode_png(np.zeros([5, 9, 2], np.uint8)).numpy(), "a")])
    with pytest.raises(UserError) as error:
        shape_of([str(tmp_path / "a")])
    assert error.value.failure.value == "5x9x2"


def halved(features):
    return {**preprocessing(SHAPE)(features), "image": preprocessing(SHAPE)(features)["image"] / 2.0}


def mirrored(features):
    return {**preprocessing(SHAPE)(features), "image": tf.reverse(preprocessing(SHAPE)(features)["image"], [1])}


def centred(features):
    """`to_bytes` undoes it, but training feeds other numbers."""
    return {**preprocessing(SHAPE)(features), "image": preprocessing(SHAPE)(features)["image"] + 1e-4}


def fewer(features):
    return {**preprocessing(SHAPE)(features), "image": preprocessing(SHAPE)(features)["image"][:, ::3]}


def times_the_reciprocal(features):
    """What a graph optimizer may make of the division."""
    return {
        **preprocessing(SHAPE)(features),
        "image": tf.round(preprocessing(SHAPE)(features)["image"] * 255.0) * (1.0 / 255.0),
    }


def bent_at(byte):
    def transform(features):
        x = preprocessing(SHAPE)(features)["image"]
        return {"image": tf.where(tf.round(x * 255.0) == byte, x + 1 / 255, x), "id": features["id"]}

    return transform


@pytest.mark.parametrize(
    ("transform", "place", "byte", "becomes"),
    [
        (halved, "'second', row 1, column 1, channel 2", 100, 50 / 255),
        (mirrored, "'second', row 1, column 1, channel 2", 100, 0.0),
        (bent_at(100), "'second', row 1, column 1, channel 2", 100, 101 / 255),
        (centred, "'first', row 0, column 0, channel 0", 0, 1e-4),
    ],
)
def test_a_preprocessing_that_is_not_undone_is_refused_with_the_first_value_that_is_not(
    transform, place, byte, becomes, tmp_path, png, example, write_records
):
    pixels = np.zeros([2, *SHAPE], np.uint8)
    pixels[1, 1, 1, 2] = 100
    written = [example(png(image), name) for name, image in zip(("first", "second"), pixels, strict=True)]
    write_records(tmp_path / "a", written)
    with pytest.raises(UserError) as error:
        load_images([str(tmp_path / "a")], transform, SHAPE)
    failure = error.value.failure
    assert place in failure.sentence
    assert [failure.value, float(failure.valid)] == pytest.approx([becomes, byte / 255])


def test_a_rounding_of_floats_is_no_other_preprocessing(tmp_path, images, png, example, write_records):
    write_records(tmp_path / "a", [example(png(pixels), str(i)) for i, pixels in enumerate(images.pixels)])
    loaded = load_images([str(tmp_path / "a")], times_the_reciprocal, SHAPE)
    assert content(loaded) == content(load_images([str(tmp_path / "a")], preprocessing(SHAPE), SHAPE))


def test_a_preprocessing_that_makes_another_shape_is_refused(tmp_path, images, png, example, write_records):
    write_records(tmp_path / "a", [example(png(images.pixels[0]), "a")])
    with pytest.raises(UserError) as error:
        load_images([str(tmp_path / "a")], fewer, SHAPE)
    assert error.value.failure.value == [1, 1024]


FILES = ("none-*", "plain text", "gzipped text", "folder", "empty", "no Example", "no image", "small image")


@pytest.fixture
def write_kind(tmp_path, example, write_records):
    """Writes a file that does not contain valid images, and returns its path."""

    def write(kind):
        path = tmp_path / kind
        small = tf.io.encode_png(np.zeros([8, 8, 3], np.uint8)).numpy()
        {
            "none-*": lambda: None,
            "plain text": lambda: path.write_bytes(b"no TFRecord " * 10),
            "gzipped text": lambda: path.write_bytes(gzip.compress(b"no TFRecord " * 10)),
            "folder": path.mkdir,
            "empty": lambda: write_records(path, []),
            "no Example": lambda: write_records(path, [b"no Example"]),
            "no image": lambda: write_records(path, [example(b"no image", "a")]),
            "small image": lambda: write_records(path, [example(small, "a")]),
        }[kind]()
        return str(path)

    return write


@pytest.mark.parametrize("kind", FILES)
def test_files_of_something_else_are_the_users_error_and_are_named(kind, write_kind):
    path = write_kind(kind)
    readers = [lambda: load_images([path], preprocessing(SHAPE), SHAPE)]
    if kind != "small image":
        readers.append(lambda: shape_of([path]))
    if kind not in ("small image", "no image"):
        readers.append(lambda: first_examples([path], 2))
    for read in readers:
        with pytest.raises(UserError) as error:
            read()
        assert error.value.failure.value == path
        assert error.value.failure.valid


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.45])
def test_hold_out_cuts_the_set_in_two(fraction):
    train, held_out = hold_out(23, fraction, 0)
    assert len(held_out) == max(1, round(fraction * 23))
    assert sorted([*train, *held_out]) == list(range(23))
    assert sorted(train) == list(train), "in the order of the images, whatever the seed"
    assert sorted(held_out) == list(held_out)


def test_hold_out_is_a_function_of_the_seed():
    parts = [tuple(hold_out(23, 0.3, seed)[1]) for seed in (0, 0, 1, 2)]
    assert parts[0] == parts[1]
    assert len(set(parts)) == 3


def test_one_image_cannot_be_cut_in_two():
    with pytest.raises(UserError) as error:
        hold_out(1, 0.3, 0)
    assert error.value.failure.value == 1


def test_the_images_of_an_index_keep_their_noise_seeds(images):
    chosen = images.take(np.array([20, 3, 3]))
    np.testing.assert_array_equal(chosen.pixels[np.arange(3)], images.pixels[[20, 3, 3]])
    np.testing.assert_array_equal(chosen.noise_seeds, images.noise_seeds[[20, 3, 3]])


@pytest.mark.parametrize("count", [1, 999, 1001])
def test_pixel_model_has_the_moments_of_every_pixel(count):
    pixels = np.random.default_rng(0).integers(0, 256, [count, *SHAPE], np.uint8)
    pixels[:, 0, 0, 0] = 255
    mean, variance = pixel_model(ImageSet(pixels, np.arange(count)))
    np.testing.assert_allclose(mean, (pixels / 255.0).mean(axis=0).ravel(), atol=1e-6)
    np.testing.assert_allclose(variance, (pixels / 255.0).var(axis=0).ravel(), atol=1e-6)


ROWS = np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37])


def test_an_epoch_has_full_batches_and_no_image_twice():
    batches = shuffled_batches(ROWS, 5, seed=0, epoch=1)
    assert batches.shape == (2, 5)
    assert len({*batches.flat}) == 10
    assert {*batches.flat} <= {*ROWS}


def test_an_epoch_of_whole_batches_has_every_image():
    assert sorted(shuffled_batches(ROWS, 4, seed=0, epoch=1).flat) == list(ROWS)


def test_what_an_epoch_leaves_out_is_another_images_turn_in_the_next():
    assert {row for epoch in range(1, 20) for row in shuffled_batches(ROWS, 5, 0, epoch).flat} == {*ROWS}


def test_the_order_is_a_function_of_seed_and_epoch():
    orders = {(seed, epoch): shuffled_batches(ROWS, 5, seed, epoch).tolist() for seed in (0, 1) for epoch in (1, 2)}
    assert len({*map(str, orders.values())}) == 4
    assert shuffled_batches(ROWS, 5, 1, 2).tolist() == orders[1, 2]
