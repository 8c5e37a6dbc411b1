"""What lies at a path: its kind, parts and labels."""

import dataclasses

import pytest

from components.ingest.own_data import open_data, source_of
from components.ingest.source import fields_of
from components.ingest.splits import parts_of
from own_data import write_files
from toy_data import png, rows, write_toy
from trainer.errors import UserError
from trainer.schema import SettingError

IMAGE = png(0)


def found(root, *names, splits=None):
    """The fields of the source of these image files."""
    source = open_data(write_files(root, dict.fromkeys(names, IMAGE)), splits)
    again = source_of(location=source.location, **fields_of(source))
    assert again == source
    return dataclasses.asdict(source) | {"location": None}


@pytest.mark.parametrize(
    ("names", "splits", "folders", "labelled"),
    [
        (["a.png"], None, {"train": ""}, False),
        (["cat/a.jpg", "dog/b.JPEG", "bird/deep/c.webp"], None, {"train": ""}, True),
        (["train/a.png", "test/b.png"], None, {"train": "train", "test": "test"}, False),
        (["train/cat/a.png", "test/dog/b.png"], None, {"train": "train", "test": "test"}, True),
        (["train/a.png"], None, {"train": "train"}, False),
        (["a/x.png", "b/x.png"], "train=a,test=b", {"a": "a", "b": "b"}, False),
        ([".hidden/a.png", "b.png", ".c.png"], None, {"train": ""}, False),
    ],
)
def test_directories_are_parts_or_labels(tmp_path, names, splits, folders, labelled):
    expected = {"location": None, "folders": folders, "labelled": labelled, "marker": None}
    assert found(tmp_path, *names, splits=splits) == expected


def test_train_beside_other_directories_is_not_guessed_at(tmp_path):
    names = ["car/a.png", "plane/b.png", "train/c.png"]
    with pytest.raises(UserError) as error:
        found(tmp_path, *names)
    assert error.value.failure.value == ["car", "plane"]
    assert found(tmp_path, *names, splits="train=train+car,test=plane")["labelled"] is False


@pytest.mark.parametrize("splits", ["train=nope", "test=validation"])
def test_parts_that_are_not_there_are_refused_by_name(tmp_path, splits):
    source = open_data(write_files(tmp_path, {"train/a.png": IMAGE}), splits)
    with pytest.raises(SettingError) as error:
        parts_of(splits, source.parts, str(tmp_path))
    assert (error.value.setting, error.value.failure.value) == ("splits", splits.split("=")[1])


@pytest.mark.parametrize("names", [["a.txt"], [], ["train/notes"]])
def test_a_path_without_images_is_refused(tmp_path, names):
    with pytest.raises(UserError) as error:
        open_data(write_files(tmp_path, dict.fromkeys(names, b"text")), None)
    assert error.value.failure.value == str(tmp_path)


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(UserError) as error:
        open_data(f"{tmp_path}/none", None)
    assert error.value.failure.value == f"{tmp_path}/none"


def test_a_folder_that_tfds_prepared_is_a_data_set(tmp_path):
    folder = write_toy(tmp_path, rows("train", 2, 0), rows("test", 1, 9)) / "toy/1.0.0"
    source = open_data(str(folder), None)
    assert (source.KIND, sorted(source.parts), source.labelled) == ("tfds", ["test", "train"], True)


def fingerprint(root, parts=("train",), splits=None):
    return open_data(str(root), splits).fingerprint(list(parts))


def test_the_fingerprint_follows_names_and_content_and_no_place(tmp_path):
    files = {"train/cat/a.png": png(1), "train/dog/b.png": png(2), "test/cat/c.png": png(3)}
    for name in ("one", "two"):
        write_files(tmp_path / name, files)
    first = fingerprint(tmp_path / "one")
    assert fingerprint(tmp_path / "two") == first
    write_files(tmp_path / "two", {"test/cat/d.png": png(4), "train/.hidden": b""})
    assert fingerprint(tmp_path / "two") == first, "a part that is not asked for does not count"
    assert fingerprint(tmp_path / "two", ["train", "test"]) != fingerprint(tmp_path / "one", ["train", "test"])
    for i, change in enumerate([{"train/dog/b.png": png(5)}, {"train/dog/c.png": png(2)}]):
        assert fingerprint(write_files(tmp_path / f"changed-{i}", files | change)) != first
    for name in ("train/cat/b.png", "train/dog/c.png"):
        renamed = {**files, name: files["train/dog/b.png"]}
        del renamed["train/dog/b.png"]
        assert fingerprint(write_files(tmp_path / "renamed" / name[-9:], renamed)) != first
