"""Images come through files, bytes and batches as they were."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.errors import UserError
from trainer.images import (
    IMAGE_SIZE,
    ImageSet,
    decode,
    hold_out,
    load_images,
    noise_seed,
    ordered_batches,
    pixel_model,
    preprocess,
    random_flips,
    shuffled_batches,
    to_bytes,
    to_unit_interval,
)

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


def rows(images):
    """The images as a set of (noise seed, bytes)."""
    return {(int(seed), pixels.tobytes()) for pixels, seed in zip(images.pixels, images.noise_seeds, strict=True)}


def epoch_of(images, batch_size, seed=0, epoch=1):
    return np.stack([*shuffled_batches(images, batch_size, seed, epoch)])


def test_a_png_decodes_exactly(png):
    pixels = np.random.default_rng(0).integers(0, 256, [4, 32, 32, 3], np.uint8)
    np.testing.assert_array_equal(decode(tf.constant([png(image) for image in pixels])), pixels)


@pytest.mark.parametrize("kind", not_images())
def test_bytes_that_are_no_such_image_are_refused(kind, png):
    whole = png(np.zeros(IMAGE_SIZE, np.uint8))
    decode(tf.constant([whole, whole]))
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(tf.constant([whole, not_images()[kind]]))


def test_to_bytes_undoes_to_unit_interval_for_every_grey_level():
    levels = np.resize(np.arange(256, dtype=np.uint8), [2, IMAGE_SIZE])
    x = to_unit_interval(tf.constant(levels))
    np.testing.assert_allclose(x, levels / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(to_bytes(x), levels)


def test_a_flip_mirrors_left_and_right_and_leaves_the_rest(images):
    x = to_unit_interval(images.pixels).numpy()
    mirrored = x.reshape(-1, 32, 32, 3)[:, :, ::-1].reshape(x.shape)
    flipped = random_flips(tf.constant(x), [0, 0]).numpy()
    as_is, turned = (np.all(flipped == those, axis=1) for those in (x, mirrored))
    assert np.all(as_is != turned)
    assert 0 < turned.sum() < len(images)


def test_every_other_image_is_flipped_as_a_function_of_the_seed():
    x = tf.constant(np.resize(np.arange(2.0, dtype=np.float32).repeat(3), [1000, IMAGE_SIZE]))
    which = lambda *seed: np.any(random_flips(x, list(seed)) != x, axis=1)  # noqa: E731
    first = which(3, 5)
    np.testing.assert_array_equal(which(3, 5), first)
    for other in (first, which(3, 6), which(4, 5)):
        assert abs(other.mean() - 0.5) < 5.0 * 0.5 / np.sqrt(1000)
    for other in (which(3, 6), which(4, 5)):
        assert 0.4 < np.mean(first == other) < 0.6


def test_preprocess_decodes_rescales_and_keeps_the_id(images, png):
    features = {"image": tf.constant([png(image) for image in images.pixels]), "id": tf.constant(["a"] * len(images))}
    result = preprocess(features)
    np.testing.assert_allclose(result["image"], images.pixels / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(result["id"], features["id"])


def test_an_image_keeps_its_noise_seed_wherever_it_is_read(tmp_path, images, png, example, write_records):
    ids = [f"test_{i}" for i in range(len(images))]
    write_records(tmp_path / "a", [example(png(image), name) for name, image in zip(ids, images.pixels, strict=True)])
    assert rows(load_images([str(tmp_path / "a")], preprocess)) == rows(
        ImageSet(images.pixels, noise_seed(ids).numpy())
    )


@pytest.mark.parametrize("ids", [[], SAME_SEED_IDS], ids=["any ids", "two ids of one seed"])
def test_the_split_and_order_of_the_files_do_not_matter(ids, tmp_path, images, png, example, write_records):
    names = [*ids, *(f"test_{i}" for i in range(len(ids), len(images)))]
    records = [example(png(image), name) for name, image in zip(names, images.pixels, strict=True)]
    write_records(tmp_path / "one", records)
    for i in range(3):
        write_records(tmp_path / f"part-{i}", records[::-1][i::3])
    whole = load_images([str(tmp_path / "one")], preprocess)
    parts = load_images([str(tmp_path / "part-[12]"), str(tmp_path / "part-0")], preprocess)
    np.testing.assert_array_equal(whole.noise_seeds, parts.noise_seeds)
    np.testing.assert_array_equal(whole.pixels, parts.pixels)


def test_no_file_is_the_users_error_and_names_the_pattern(tmp_path):
    with pytest.raises(UserError, match=r"no file matches .*nothing-\*: expected gzipped TFRecord"):
        load_images([str(tmp_path / "nothing-*")], preprocess)


def test_empty_files_are_the_users_error_and_are_named(tmp_path, write_records):
    write_records(tmp_path / "empty", [])
    with pytest.raises(UserError, match="empty hold no Example: expected at least one image"):
        load_images([str(tmp_path / "empty")], preprocess)


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.45])
def test_hold_out_cuts_the_set_in_two(fraction, images):
    train, held_out = hold_out(images, fraction, 0)
    assert len(held_out) == max(1, round(fraction * len(images)))
    assert len(train) + len(held_out) == len(images)
    assert rows(train) | rows(held_out) == rows(images)


def test_hold_out_is_a_function_of_the_seed(images):
    parts = [rows(hold_out(images, 0.3, seed)[1]) for seed in (0, 0, 1, 2)]
    assert parts[0] == parts[1]
    assert len(set(map(frozenset, parts))) == 3


def test_one_image_cannot_be_cut_in_two(make_images):
    with pytest.raises(UserError, match=r"has 1 image.*expected at least 2"):
        hold_out(make_images(1), 0.3, 0)


@pytest.mark.parametrize("count", [1, 999, 1001])
def test_pixel_model_has_the_moments_of_every_pixel(count):
    pixels = np.random.default_rng(0).integers(0, 256, [count, IMAGE_SIZE], np.uint8)
    pixels[:, 0] = 255
    mean, variance = pixel_model(ImageSet(pixels, np.arange(count)))
    np.testing.assert_allclose(mean, (pixels / 255.0).mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(variance, (pixels / 255.0).var(axis=0), atol=1e-6)


def test_an_epoch_has_full_batches_and_no_image_twice(images):
    batches = epoch_of(images, 5)
    assert batches.shape == (4, 5, IMAGE_SIZE)
    seen = {pixels.tobytes() for pixels in batches.reshape(20, IMAGE_SIZE)}
    assert len(seen) == 20
    assert seen <= {pixels.tobytes() for pixels in images.pixels}


def test_an_epoch_of_whole_batches_has_every_image(make_images):
    images = make_images(20)
    assert {p.tobytes() for p in epoch_of(images, 5).reshape(20, -1)} == {p.tobytes() for p in images.pixels}


def test_the_order_is_a_function_of_seed_and_epoch(images):
    orders = {(seed, epoch): epoch_of(images, 5, seed, epoch).tobytes() for seed in (0, 1) for epoch in (1, 2)}
    assert len(set(orders.values())) == 4
    assert epoch_of(images, 5, 1, 2).tobytes() == orders[1, 2]


def test_ordered_batches_give_every_image_once_and_in_order(images):
    batches = list(ordered_batches(images, 5))
    assert [len(pixels) for pixels, _ in batches] == [5, 5, 5, 5, 3]
    for whole, parts in zip(images, zip(*batches, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), whole)
