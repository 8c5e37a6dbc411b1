import numpy as np
import pytest
import tensorflow as tf

from components.ingest.decoding import decoded, shape_of_images
from components.ingest.prepared import Shard
from components.ingest.records import Batch, Fault
from toy_data import pixels, png
from trainer.errors import UserError
from trainer.shape import Shape

SHARD, SHAPE = Shard("toy-train", "tfrecord", 9), Shape(32, 32, 3)


def batch(*images):
    return Batch(3, np.array(images, dtype=object), [b"a"] * len(images), [b"good", b"b\nad"])


def test_the_same_pixels_in_another_encoding_are_the_same_image():
    bmp = b"BM" + (54 + 3072).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    bmp += (32).to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(24) + pixels(7)[::-1, :, ::-1].tobytes()
    images, faults = decoded(batch(png(7), bmp), SHARD, SHAPE)
    assert (images.ids, faults) == ([b"good", b"b\nad"], [])
    np.testing.assert_array_equal(images.pixels, [pixels(7), pixels(7)])


BAD = {
    "truncated": (png(7)[:1000], "format: expected a complete PNG, JPEG, WebP or BMP, got '1000 bytes: "),
    "garbage": (b"not an image", "format: expected a complete PNG, JPEG, WebP or BMP, got '12 bytes: "),
    "empty": (b"", "format: expected a complete PNG, JPEG, WebP or BMP, got '0 bytes: "),
    "16 bits": (
        tf.io.encode_png(pixels(7).astype(np.uint16) * 257).numpy(),
        "bits per channel: expected 8, got 16, record 4, counted from 0, of toy-train",
    ),
    "small": (
        png(7, (16, 32, 3)),
        "shape: expected 32x32x3, as of the others, got '16x32x3', record 4, counted from 0, of toy-train",
    ),
    "grey": (
        png(7, (32, 32, 1)),
        "shape: expected 32x32x3, as of the others, got '32x32x1', record 4, counted from 0, of toy-train",
    ),
}


@pytest.mark.parametrize(("image", "text"), BAD.values(), ids=BAD)
def test_a_bad_image_is_named_by_its_id_and_record_and_the_others_are_decoded(image, text):
    images, (fault,) = decoded(batch(png(0), image), SHARD, SHAPE)
    np.testing.assert_array_equal(images.pixels, [pixels(0)])
    assert (images.encoded.tolist(), images.labels, images.ids) == ([png(0)], [b"a"], [b"good"])
    assert fault.text.startswith(f"image b\\nad, {text}")
    assert fault.text.endswith(", record 4, counted from 0, of toy-train")


def test_the_first_sound_image_gives_the_shape():
    bad = [image for image, _ in list(BAD.values())[:4]]
    found = [Fault("no image"), *(batch(image) for image in bad), batch(png(1, (4, 5, 2)), png(1, (4, 5, 1)))]
    assert shape_of_images(iter(found)) == (4, 5, 1)


def test_data_without_a_sound_image_at_their_start_have_no_shape():
    with pytest.raises(UserError) as error:
        shape_of_images(batch(b"text") for _ in range(20))
    assert error.value.failure.value == 10, "images, one in each of the batches that count"
