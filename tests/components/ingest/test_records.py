"""Every stored record is read as it was written, or its damage is named."""

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from components.ingest.prepared import open_prepared, shards
from components.ingest.records import read_batches
from toy_data import FEATURES, pixels, png, rows, write, write_toy
from trainer.errors import UserError


def read(folder, split="train"):
    """The batches of a data set of one file a split."""
    builder = open_prepared(str(folder))
    (shard,) = shards(builder, split)
    return list(read_batches(shard, builder.info.features))


def records(batches):
    """Tuples of id, encoded image and label."""
    return [record for batch in batches for record in zip(batch.ids, batch.images, batch.labels, strict=True)]


@pytest.mark.parametrize(("file_format", "count"), [("tfrecord", 300), ("array_record", 300), ("parquet", 100)])
def test_every_format_gives_the_same_records(tmp_path, file_format, count):
    train = rows("train", count, 0)
    write_toy(tmp_path, train, rows("test", 1, 900), file_format=file_format)
    batches = read(tmp_path / "toy/1.0.0")
    assert records(batches) == [(name.encode(), image, b"%d" % label) for name, image, label in train]
    assert [batch.first for batch in batches] == list(range(0, count, 256))


def test_a_label_is_the_name_of_its_class_and_may_be_missing(tmp_path):
    names = tfds.features.ClassLabel(names=["cat", "dog", "eel"])
    features = tfds.features.FeaturesDict({**FEATURES, "label": names})
    content = [(i, {"id": f"n{i}", "image": pixels(i), "label": number}) for i, number in enumerate([2, -1, 0])]
    write(tmp_path, features, {"train": content, "test": content[:1]})
    (batch,) = read(tmp_path / "toy/1.0.0")
    assert batch.labels == [b"eel", None, b"cat"]


@pytest.mark.parametrize("encoding", ["none", "bytes", "zlib"])
def test_a_tensor_of_bytes_is_an_image(tmp_path, encoding):
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Tensor(shape=(32, 32, 3), dtype=np.uint8, encoding=encoding),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
    )
    write(tmp_path, features, {"train": [(i, {"image": pixels(i), "label": i}) for i in range(5)]})
    for _, image, label in records(read(tmp_path / "toy/1.0.0")):
        np.testing.assert_array_equal(tf.io.decode_png(image), pixels(int(label)))


@pytest.mark.parametrize(
    ("feature", "names"),
    [
        (tfds.features.Text(), ["Aa", "aA", "a\0", "", "\u00e9", "e\u0301", " aa"]),
        (tfds.features.Scalar(np.object_), [b"\xff\xfe", b"\x80", b"\n"]),
        (tfds.features.Scalar(np.int64), [0, 7, 70, -7, -(2**63), 2**63 - 1]),
        (tfds.features.Scalar(np.uint8), [0, 7, 255]),
        (tfds.features.Scalar(np.uint64), [0, 7, 2**64 - 1]),
    ],
    ids=["text", "bytes", "int64", "uint8", "uint64"],
)
def test_ids_of_every_kind_become_bytes(tmp_path, feature, names):
    write_toy(tmp_path, [(name, png(0), 0) for name in names], [(names[0], png(1), 0)], feature)
    found = [name for name, _, _ in records(read(tmp_path / "toy/1.0.0"))]
    assert found == [name if isinstance(name, bytes) else str(name).encode() for name in names]


def test_a_data_set_without_ids_gets_those_of_tfds(tmp_path):
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(32, 32, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
    )
    write(tmp_path, features, {"train": [(i, {"image": pixels(i), "label": 0}) for i in range(2)]})
    name = b"toy-train.tfrecord-00000-of-00001"
    assert [found for found, _, _ in records(read(tmp_path / "toy/1.0.0"))] == [name + b"__0", name + b"__1"]


def flipped(data, position=50):
    return data[:position] + bytes([data[position] ^ 0x80]) + data[position + 1 :]


@pytest.fixture(scope="session")
def sound(written, tmp_path_factory):
    """The folders of a data set of five images in each split, by file format."""
    folders = {"tfrecord": written / "toy/1.0.0"}
    for file_format in ("array_record", "parquet"):
        folder = tmp_path_factory.mktemp(file_format)
        write_toy(folder, rows("train", 5, 0), rows("test", 5, 100), file_format=file_format)
        folders[file_format] = folder / "toy/1.0.0"
    return folders


@pytest.fixture
def damaged(sound, tmp_path):
    """Damages the file of the split train; returns the folder and the file."""

    def make(file_format, damage):
        folder = shutil.copytree(sound[file_format], tmp_path / "damaged")
        (file,) = folder.glob("toy-train*")
        file.write_bytes(damage(file.read_bytes()))
        return folder, file

    return make


@pytest.mark.parametrize(
    ("file_format", "damage", "record"),
    [
        ("tfrecord", lambda data: flipped(data, len(data) // 2), 2),
        ("tfrecord", lambda data: data[: len(data) * 4 // 5 + 99], 4),
        ("tfrecord", lambda data: bytes(len(data)), 0),
        ("array_record", lambda data: data[:100] + b"\1" + data[101:], 0),
        ("parquet", lambda data: data[: len(data) // 2], 0),
        ("parquet", lambda data: data[:10] + b"\xff" + data[11:], 0),
        ("parquet", lambda data: b"", 0),
    ],
)
def test_a_damaged_record_is_named(damaged, file_format, damage, record):
    folder, file = damaged(file_format, damage)
    with pytest.raises(UserError) as error:
        read(folder)
    assert error.value.failure.value == {"file": str(file), "record": record}


@pytest.mark.parametrize(
    ("file_format", "damage", "records"),
    [
        ("tfrecord", lambda data: data[: len(data) * 4 // 5], 4),
        ("tfrecord", lambda data: b"", 0),
        ("array_record", lambda data: flipped(data[50:] + data[:50]), 0),
        ("array_record", lambda data: data[: len(data) // 2], 0),
    ],
)
def test_lost_records_are_counted(damaged, file_format, damage, records):
    folder, file = damaged(file_format, damage)
    with pytest.raises(UserError) as error:
        read(folder)
    failure = error.value.failure
    assert (failure.value, failure.valid) == (records, "5")
    assert str(file) in failure.sentence


def test_more_records_than_described_are_counted(toy):
    info = toy / "dataset_info.json"
    info.write_text(info.read_text().replace('"5"', '"4"'))
    with pytest.raises(UserError) as error:
        read(toy)
    assert (error.value.failure.value, error.value.failure.valid) == (5, "4")


def test_a_record_of_other_features_is_named(tmp_path, toy):
    features = tfds.features.FeaturesDict({"label": tfds.features.ClassLabel(num_classes=10)})
    write(tmp_path / "other", features, {"train": [(i, {"label": 0}) for i in range(5)]})
    file = pathlib.Path(shutil.copy(tmp_path / "other/toy/1.0.0/toy-train.tfrecord-00000-of-00001", toy))
    with pytest.raises(UserError) as error:
        read(toy)
    assert error.value.failure.value == {"file": str(file), "record": 0}
