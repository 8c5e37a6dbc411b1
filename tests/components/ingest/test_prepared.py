import shutil

import pytest

from components.ingest.datasets import prepared_builder
from components.ingest.prepared import content_fingerprint, open_prepared
from components.ingest.splits import SPLITS
from trainer.errors import UserError


def flipped(data):
    return data[:50] + bytes([data[50] ^ 0x80]) + data[51:]


@pytest.fixture(params=[False, True], ids=["no code", "code"])
def described(request, toy):
    """Name and folder of a small data set; with code, it has the name of one that TFDS has code for."""
    if not request.param:
        return "toy", toy
    other = toy.parents[1] / "photo_patches/1.0.0"
    shutil.copytree(toy, other)
    for file in list(other.iterdir()):
        file.rename(other / file.name.replace("toy", "photo_patches"))
    info = other / "dataset_info.json"
    info.write_text(info.read_text().replace('"toy"', '"photo_patches"'))
    return "photo_patches", other


def refused(described, name):
    """Whether the file `name` of the data set is named as the cause of a refusal of one line."""
    dataset, folder = described
    with pytest.raises(UserError) as error:
        prepared_builder(dataset, [str(folder.parents[1])])
    return error.value.failure.value == f"{folder}/{name}" and "\n" not in str(error.value)


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
def test_a_damaged_description_is_named(described, name, damage):
    file = described[1] / name
    file.write_bytes(damage(file.read_bytes()))
    assert refused(described, name)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_a_missing_description_is_named(described, name):
    (described[1] / name).unlink()
    assert refused(described, name)


def test_the_fingerprint_is_that_of_the_content_of_the_files_that_are_read(toy, tmp_path):
    shutil.copytree(toy, tmp_path / "two")
    (toy / "unrelated.txt").write_text("not read")
    original = content_fingerprint(open_prepared(str(toy)), SPLITS)
    assert content_fingerprint(open_prepared(str(tmp_path / "two")), SPLITS) == original
    for file in (tmp_path / "two").iterdir():
        content = file.read_bytes()
        other = content.replace(b"without a", b"with no") if file.suffix == ".json" else flipped(content)
        file.write_bytes(other if other != content else content + b"\n")
        assert content_fingerprint(open_prepared(str(tmp_path / "two")), SPLITS) != original, file.name
        file.write_bytes(content)


def test_the_fingerprint_covers_the_names_of_the_labels(toy):
    original = content_fingerprint(open_prepared(str(toy)), SPLITS)
    (toy / "label.labels.txt").write_text("\n".join("abcdefghij"))
    assert content_fingerprint(open_prepared(str(toy)), SPLITS) != original


@pytest.mark.parametrize("splits", [("train",), ("test",)])
def test_the_fingerprint_covers_no_file_of_another_split(toy, splits):
    original = content_fingerprint(open_prepared(str(toy)), splits)
    (file,) = toy.glob("toy-test*" if splits == ("train",) else "toy-train*")
    file.write_bytes(flipped(file.read_bytes()))
    assert content_fingerprint(open_prepared(str(toy)), splits) == original
