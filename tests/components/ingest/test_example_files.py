"""TFRecords of a user's own Examples become batches, or their damage is named."""

import pytest
import tensorflow as tf

from components.ingest.own_data import open_data
from components.ingest.records import Fault
from toy_data import png
from trainer.errors import UserError


def example(**features):
    def feature(value):
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))

    found = {name: feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=found)).SerializeToString()


def written(path, *examples, compression=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for serialized in examples:
            writer.write(serialized)
    return path


def read(source, part="train"):
    return [batch for shard in source.shards(part) for batch in source.read(shard)]


@pytest.mark.parametrize(("name", "compression"), [("a.tfrecord-00000-of-00001", ""), ("a.tfrecords.gz", "GZIP")])
def test_images_labels_and_ids_are_those_of_the_examples(tmp_path, name, compression):
    examples = [example(image=png(i), label=i - 1, id=f"n{i}".encode(), other=0.5) for i in range(3)]
    written(tmp_path / "train" / name, *examples, compression=compression)
    written(tmp_path / "test" / name, examples[0], compression=compression)
    source = open_data(str(tmp_path), None)
    assert (set(source.parts), source.labelled) == ({"train", "test"}, True)
    (batch,) = read(source)
    assert (batch.ids, batch.labels) == ([b"n0", b"n1", b"n2"], [b"-1", b"0", b"1"])
    assert list(batch.images) == [png(i) for i in range(3)]


def test_a_label_may_be_a_text(tmp_path):
    path = written(tmp_path / "a.tfrecord", *(example(image=png(1), label=name) for name in (b"cat", b"\xff\n")))
    (batch,) = read(open_data(str(path), None))
    assert batch.labels == [b"cat", rb"\xff\n"]


def test_without_labels_and_ids_images_are_numbered_by_file(tmp_path):
    path = written(tmp_path / "a.tfrecord", example(image=png(1)), example(image=png(2)))
    source = open_data(str(path), None)
    assert not source.labelled
    (batch,) = read(source)
    assert (batch.labels, batch.ids) == ([None, None], [b"a.tfrecord__0", b"a.tfrecord__1"])
    first = source.fingerprint(["train"])
    written(path, example(image=png(1)))
    assert source.fingerprint(["train"]) != first


def test_an_example_of_other_features_than_the_first_is_unreadable(tmp_path):
    others = [example(image=png(2)), example(image=png(3), label=0.5), b"no Example"]
    path = written(tmp_path / "a.tfrecord", example(image=png(1), label=7), *others, example(image=png(4), label=8))
    (tmp_path / "notes.txt").write_text("no TFRecords")
    found = read(open_data(str(tmp_path), None))
    good = [batch for batch in found if not isinstance(batch, Fault)]
    assert [(batch.first, batch.labels) for batch in good] == [(0, [b"7"]), (4, [b"8"])]
    names = [fault.text.split(", ")[0] for fault in found if isinstance(fault, Fault)]
    assert names == [f"image {path.name}__{i}" for i in (1, 2, 3)] + ["image notes.txt"]


@pytest.mark.parametrize(
    ("first", "value"),
    [
        ({"picture": b""}, ["picture"]),
        ({"image": 3}, "int64_list"),
        ({"image": b"", "label": 0.5}, "float_list"),
        ({"image": b"", "id": 0.5}, "float_list"),
    ],
)
def test_the_first_example_has_to_have_an_image_and_fitting_features(tmp_path, first, value):
    path = written(tmp_path / "a.tfrecord", example(**first))
    with pytest.raises(UserError) as error:
        open_data(str(path), None)
    assert error.value.failure.value == value
    assert str(path) in error.value.failure.sentence


@pytest.mark.parametrize("content", [b"", b"text", b"\1" * 500], ids=["empty", "text", "bytes"])
def test_a_file_of_anything_else_is_named(tmp_path, content):
    (tmp_path / "a.tfrecord").write_bytes(content)
    with pytest.raises(UserError) as error:
        open_data(str(tmp_path / "a.tfrecord"), None)
    assert str(tmp_path / "a.tfrecord") in str(error.value.failure.value)


def test_a_truncated_file_is_named(tmp_path):
    path = written(tmp_path / "a.tfrecord", *(example(image=png(i)) for i in range(300)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError) as error:
        read(open_data(str(path), None))
    assert error.value.failure.value == {"file": str(path), "record": 256}
