import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from components.ingest.datasets import SPLITS, prepared_builder
from components.ingest.prepared import content_fingerprint, open_prepared, shards
from components.ingest.records import read_batches
from toy_data import rows, write, write_toy
from trainer.errors import UserError

REMEDY = "Copy the data set again, or delete its folder and prepare it again"


def toy(folder, **options):
    write_toy(folder, rows("train", 5, 0), rows("test", 5, 100), **options)
    return folder / "toy/1.0.0"


def flipped(data):
    return data[:50] + bytes([data[50] ^ 0x80]) + data[51:]


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: bytes(len(data)),
        flipped,
        lambda data: data.replace(b"tfrecord", b"tfrecore").replace(b"Text", b"Tex4"),
    ],
    ids=["truncated", "emptied", "zeroed", "flipped", "another value"],
)
@pytest.mark.parametrize("code", [False, True], ids=["no code", "code"])
def test_a_damaged_description_is_named_with_the_remedy(tmp_path, name, damage, code):
    dataset, folder = described(tmp_path, code)
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(UserError) as error:
        prepared_builder(dataset, [str(tmp_path)])
    assert str(error.value).startswith(f"{folder}/{name} is damaged: expected what TFDS wrote, got ")
    assert str(error.value).endswith(REMEDY)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("code", [False, True], ids=["no code", "code"])
def test_a_missing_description_is_named_with_the_remedy(tmp_path, name, code):
    dataset, folder = described(tmp_path, code)
    (folder / name).unlink()
    with pytest.raises(UserError) as error:
        prepared_builder(dataset, [str(tmp_path)])
    assert str(error.value).startswith(f"{folder}/{name} is missing: ")
    assert str(error.value).endswith(REMEDY)


def described(tmp_path, code):
    """Name and folder of a small data set; for one of the name that TFDS has code for, it takes its place."""
    folder = toy(tmp_path)
    if not code:
        return "toy", folder
    other = tmp_path / "photo_patches/1.0.0"
    shutil.copytree(folder, other)
    for file in list(other.iterdir()):
        file.rename(other / file.name.replace("toy", "photo_patches"))
    info = other / "dataset_info.json"
    info.write_text(info.read_text().replace('"toy"', '"photo_patches"'))
    return "photo_patches", other


@pytest.mark.parametrize(
    ("file_format", "complaint"),
    [
        ("riegeli", "toy/1.0.0: the file format riegeli cannot be read on this machine, expected one of tfrecord, "),
        ("tfrecore", "dataset_info.json is damaged: .* 'tfrecore' is not a valid FileFormat"),
    ],
)
def test_a_format_that_cannot_be_read_is_refused_by_name(tmp_path, file_format, complaint):
    info = toy(tmp_path) / "dataset_info.json"
    info.write_text(info.read_text().replace('"tfrecord"', f'"{file_format}"'))
    with pytest.raises(UserError, match=complaint):
        prepared_builder("toy", [str(tmp_path)])


def test_the_fingerprint_is_that_of_the_content_of_what_is_read(tmp_path):
    folder = toy(tmp_path / "one")
    shutil.copytree(folder, tmp_path / "two")
    (folder / "unrelated.txt").write_text("not read")
    original = content_fingerprint(open_prepared(str(folder)), SPLITS)
    assert content_fingerprint(open_prepared(str(tmp_path / "two")), SPLITS) == original
    for file in (tmp_path / "two").iterdir():
        content = file.read_bytes()
        other = content.replace(b"without a", b"with no") if file.suffix == ".json" else flipped(content)
        file.write_bytes(other if other != content else content + b"\n")
        assert content_fingerprint(open_prepared(str(tmp_path / "two")), SPLITS) != original, file.name
        file.write_bytes(content)


def test_the_names_of_the_labels_are_in_the_fingerprint(tmp_path):
    folder = toy(tmp_path)
    original = content_fingerprint(open_prepared(str(folder)), SPLITS)
    (folder / "label.labels.txt").write_text("\n".join("abcdefghij"))
    assert content_fingerprint(open_prepared(str(folder)), SPLITS) != original


@pytest.mark.parametrize(
    ("file_format", "damage", "complaint"),
    [
        ("array_record", lambda data: flipped(data[50:] + data[:50]), "has 0 readable records, expected the 5"),
        ("array_record", lambda data: data[:100] + b"\1" + data[101:], "record 0 of 5 .* is damaged: .*Corrupted"),
        ("array_record", lambda data: data[: len(data) // 2], "has 0 readable records, expected the 5 of dataset_info"),
        ("parquet", lambda data: data[: len(data) // 2], "a record from 0 on .* is damaged: .*Parquet magic bytes"),
        ("parquet", lambda data: data[:10] + b"\xff" + data[11:], "a record from 0 on .* is damaged: "),
        ("parquet", lambda data: b"", "a record from 0 on .* is damaged: .*Parquet file size is 0 bytes"),
    ],
    ids=["shifted", "flipped", "truncated", "truncated parquet", "flipped parquet", "emptied parquet"],
)
def test_damage_to_other_formats_is_named_with_the_file(tmp_path, file_format, damage, complaint):
    builder = open_prepared(str(toy(tmp_path, file_format=file_format)))
    (shard,) = shards(builder, "train")
    with open(shard.path, "rb") as file:
        content = damage(file.read())
    with open(shard.path, "wb") as file:
        file.write(content)
    with pytest.raises(UserError, match=complaint) as error:
        list(read_batches(shard, builder.info.features))
    assert str(error.value).startswith(shard.path)
    assert REMEDY in str(error.value)


def test_records_that_tfds_lost_of_a_parquet_file_are_not_called_damage(tmp_path):
    write_toy(tmp_path, rows("train", 150, 0), rows("test", 1, 900), file_format="parquet")
    builder = open_prepared(str(tmp_path / "toy/1.0.0"))
    (shard,) = shards(builder, "train")
    with pytest.raises(
        UserError, match=r"has 100 readable records, expected the 150 .*TFDS 4\.9 loses .*, as tfrecord$"
    ):
        list(read_batches(shard, builder.info.features))


def test_a_record_of_other_features_is_named_with_its_index(tmp_path):
    features = tfds.features.FeaturesDict({"label": tfds.features.ClassLabel(num_classes=10)})
    write(tmp_path / "other", features, {"train": [(i, {"label": 0}) for i in range(5)]})
    folder = toy(tmp_path)
    shutil.copy(tmp_path / "other/toy/1.0.0/toy-train.tfrecord-00000-of-00001", folder)
    builder = open_prepared(str(folder))
    with pytest.raises(UserError, match=r"record 0 of 5 \(the first is 0\) is damaged: .*Feature: (id|image)"):
        list(read_batches(shards(builder, "train")[0], builder.info.features))


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (tfds.features.Image(shape=(32, 32, 3), dtype=np.uint16), r"\(uint8\), got 16 bits \(uint16\). Convert them"),
        (tfds.features.Tensor(shape=(32, 32, 3), dtype=np.uint16), r"\(uint8\), got 16 bits \(uint16\). Convert them"),
        (tfds.features.Tensor(shape=(32, 32, 3), dtype=np.float32), r"\(uint8\), got 32 bits \(float32\)"),
        (tfds.features.Tensor(shape=(3, 32, 32), dtype=np.uint8), r"of shape \(32, 32, 3\), got .*\(3, 32, 32\)"),
        (tfds.features.Tensor(shape=(3072,), dtype=np.uint8), r"of shape \(32, 32, 3\), got .*\(3072,\)"),
    ],
    ids=["16-bit image", "16-bit tensor", "float", "channels first", "flat"],
)
def test_images_of_another_kind_are_refused_with_what_came(tmp_path, image, complaint):
    features = tfds.features.FeaturesDict({"image": image, "label": tfds.features.ClassLabel(num_classes=2)})
    row = {"image": np.zeros(image.shape, image.np_dtype), "label": 0}
    write(tmp_path, features, {"train": [(0, row)], "test": [(0, row)]})
    with pytest.raises(UserError, match=complaint):
        prepared_builder("toy", [str(tmp_path)])


@pytest.mark.parametrize("kind", [np.float32, np.bool_])
def test_ids_of_another_kind_are_refused_with_what_came(tmp_path, kind):
    (_, image, label), *_ = rows("train", 1, 0)
    write_toy(tmp_path, [(kind(0), image, label)], [(kind(1), image, label)], tfds.features.Scalar(kind))
    with pytest.raises(UserError, match=f"text, bytes or a whole number, got .*{np.dtype(kind).name}"):
        prepared_builder("toy", [str(tmp_path)])
