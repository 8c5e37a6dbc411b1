"""Arrays of NumPy become batches of images and labels."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from components.ingest import array_files
from components.ingest.array_files import ArrayFiles
from components.ingest.own_data import open_data
from toy_data import pixels
from trainer.errors import UserError


def images(count, first=0, shape=(8, 6, 3)):
    return np.stack([pixels(first + i, shape) for i in range(count)])


def rows(source, part="train"):
    """Id, pixels and label of each image."""
    found = []
    for shard in source.shards(part):
        for batch in source.read(shard):
            found += zip(batch.ids, map(tf.io.decode_png, batch.images), batch.labels, strict=True)
    return found


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_arrays_of_a_file_are_parts_with_labels(tmp_path, save, monkeypatch):
    monkeypatch.setattr(array_files, "SHARD_ROWS", 4)
    x, labels = images(10), np.arange(10)[:, None]  # Keras stores labels of CIFAR-10 so
    save(tmp_path / "keras.npz", x_train=x, y_train=labels, x_test=x[:3], y_test=labels[:3])
    source = open_data(str(tmp_path / "keras.npz"), None)
    assert (source.parts, source.labelled) == (["train", "test"], True)
    assert len(list(source.shards("train"))) == (3 if save is np.savez else 1)
    for i, (name, image, label) in enumerate(rows(source)):
        assert (name, label) == (f"keras.npz/x_train__{i}".encode(), b"%d" % i)
        np.testing.assert_array_equal(image, x[i])
    assert [label for _, _, label in rows(source, "test")] == [b"0", b"1", b"2"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "labels", [np.arange(8, dtype=np.uint8), np.array(list("01234567")), np.array(list("01234567"), "S3")[:, None]]
)
def test_batches_of_rows_come_from_the_right_places(tmp_path, labels, save, monkeypatch):
    monkeypatch.setattr("components.ingest.arrays.BATCH", 3)
    x = images(8, shape=(2, 2))
    save(tmp_path / "a.npz", x=x, y=labels)
    found = rows(open_data(str(tmp_path / "a.npz"), None))
    assert [label for _, _, label in found] == [b"%d" % i for i in range(8)]
    np.testing.assert_array_equal(np.stack([image for _, image, _ in found])[..., 0], x)


def test_a_directory_of_arrays_has_parts_and_may_lack_labels(tmp_path):
    for part, count in (("train", 3), ("test", 2)):
        (tmp_path / part).mkdir()
        np.save(tmp_path / part / "b.npy", images(count))
    (tmp_path / "train/readme.txt").write_text("no array")
    source = open_data(str(tmp_path), None)
    assert (set(source.parts), source.labelled) == ({"train", "test"}, False)
    assert [(name, label) for name, _, label in rows(source, "test")] == [
        (b"test/b.npy__0", None),
        (b"test/b.npy__1", None),
    ]
    (fault,) = source.read(list(source.shards("train"))[1])
    assert fault.text.startswith("image train/readme.txt, format")


def test_labels_may_lie_beside_the_images(tmp_path):
    np.save(tmp_path / "images.npy", images(3))
    np.save(tmp_path / "labels.npy", np.array(["eel", "caf\u00e9", "a\nb"]))
    source = open_data(str(tmp_path), None)
    assert [label for _, _, label in rows(source)] == [b"eel", "caf\u00e9".encode(), rb"a\nb"]
    before = source.fingerprint(["train"])
    np.save(tmp_path / "labels.npy", np.array([4, 5, 7]))
    assert source.fingerprint(["train"]) != before


UNFIT = {
    "floats": {"x": np.zeros([2, 3, 3, 1], np.float32)},
    "channels first": {"x": np.zeros([2, 1, 28, 28], np.uint8)},
    "rows of numbers": {"x": np.zeros([2, 9], np.uint8)},
    "columns first": {"x": np.asfortranarray(images(2))},
    "labels of others": {"x": images(2), "y": np.arange(3)},
    "objects": {"x": images(2), "y": np.array(["a", None])},
    "fractions": {"x": images(2), "y": np.arange(2.0)},
    "other names": {"a": images(2)},
}


@pytest.mark.parametrize("arrays", UNFIT.values(), ids=UNFIT)
def test_arrays_that_are_no_images_are_refused_by_their_file(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError) as error:
        open_data(str(tmp_path / "a.npz"), None)
    assert error.value.failure.sentence.startswith(f"{tmp_path}/a.npz")
    assert error.value.failure.valid


def test_labels_for_some_files_only_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=images(2), y=np.arange(2))
    np.savez(tmp_path / "b.npz", x=images(2))
    with pytest.raises(UserError) as error:
        open_data(str(tmp_path), None)
    assert error.value.failure.value == ["b.npz"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, np.save])
@pytest.mark.parametrize("part", [0.0, 0.5], ids=["empty", "half"])
def test_a_damaged_file_is_named(tmp_path, save, part):
    name = "a.npy" if save is np.save else "a.npz"
    save(tmp_path / name, *([images(40)] if save is np.save else []), **({} if save is np.save else {"x": images(40)}))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError) as error:
        rows(open_data(str(tmp_path / name), None))
    assert error.value.failure.value == f"{tmp_path}/{name}"


def test_a_damaged_stream_is_named(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=images(40))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError) as error:
        rows(open_data(str(tmp_path / "a.npz"), None))
    assert error.value.failure.value == f"{tmp_path}/a.npz"


def test_the_fields_of_a_source_are_json(tmp_path):
    np.savez(tmp_path / "a.npz", x=images(2), y=np.arange(2))
    source = open_data(str(tmp_path / "a.npz"), None)
    assert dataclasses.asdict(source) == {
        "location": str(tmp_path),
        "members": {"train": [["a.npz", "x", "a.npz", "y"]]},
    }
    assert ArrayFiles(**dataclasses.asdict(source)) == source
