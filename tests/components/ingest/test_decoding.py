import numpy as np
import pytest
import tensorflow as tf

from components.ingest.decoding import decode_batch
from components.ingest.prepared import Shard
from components.ingest.records import Batch
from toy_data import pixels, png
from trainer.errors import UserError
from trainer.shape import Shape

SHARD, SHAPE = Shard("toy-train", "tfrecord", 9), Shape(32, 32, 3)


def batch(*images):
    return Batch(3, np.array(images, dtype=object), np.zeros([len(images)], np.int64), [b"good", b"b\nad"])


def test_the_same_pixels_in_another_encoding_are_the_same_image():
    bmp = b"BM" + (54 + 3072).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    bmp += (32).to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(24) + pixels(7)[::-1, :, ::-1].tobytes()
    np.testing.assert_array_equal(decode_batch(batch(png(7), bmp), SHARD, SHAPE), [pixels(7), pixels(7)])


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (png(7)[:1000], "1000 bytes"),
        (b"not an image", "12 bytes"),
        (b"", "0 bytes"),
        (tf.io.encode_png(pixels(7).astype(np.uint16) * 257).numpy(), 16),
        (png(7, (16, 32, 3)), {"32x32x3": 1, "16x32x3": 1}),
        (png(7, (32, 32, 1)), {"32x32x3": 1, "32x32x1": 1}),
    ],
    ids=["truncated", "garbage", "empty", "16 bits", "small", "grey"],
)
def test_a_bad_image_is_named_by_its_id_and_record(image, found):
    with pytest.raises(UserError) as error:
        decode_batch(batch(png(0), image), SHARD, SHAPE)
    failure = error.value.failure
    assert failure.sentence.startswith("image b\\nad, ")
    assert "record 4, counted from 0, of toy-train" in failure.remedy
    assert failure.value.partition(":")[0] == found if isinstance(found, str) else failure.value == found
