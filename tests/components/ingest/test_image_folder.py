"""Image files become Examples."""

import io
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.orchestration import metadata

from components.ingest import image_folder
from components.ingest.example_gen import ImageDriver
from components.ingest.image_folder import ImageFolder
from components.ingest.validator import StrictExampleValidator
from own_data import asked, write_files
from pipeline.dag import schema_of
from pipeline.failures import failure_of
from toy_data import pixels, png
from trainer.errors import UnreadableError
from trainer.failure import Kind
from trainer.images import decode
from trainer.shape import Shape


def examples(folder, split):
    """The Examples of a split, by id."""
    files = tf.io.gfile.glob(str(folder / f"ImageExampleGen/examples/*/Split-{split}/*"))
    found = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(files, compression_type="GZIP")]
    return {one.features.feature["id"].bytes_list.value[0].decode(): one.features.feature for one in found}


def encoded(seed, kind):
    content = io.BytesIO()
    Image.fromarray(pixels(seed)).save(content, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return content.getvalue()


def test_files_of_every_format_become_examples_with_their_bytes_label_and_path(tmp_path, run_nodes):
    files = {
        "train/cat/1.png": png(1),
        "train/dog/deep/2.jpg": encoded(2, "JPEG"),
        "test/dog/3.webp": encoded(3, "WEBP"),
        "train/unknown.png": png(4),
    }
    nodes = [asked(data=write_files(tmp_path / "data", files))]
    nodes.append(StatisticsGen(nodes[0].outputs["examples"]))
    nodes.append(schema_of(None))
    nodes.append(StrictExampleValidator(nodes[1].outputs["statistics"], nodes[2].outputs["schema"]))
    folder = run_nodes(nodes)
    train, test = (examples(folder, split) for split in ("train", "test"))
    came = {name: found["image"].bytes_list.value[0] for name, found in (train | test).items()}
    assert came == files
    assert {name: found["label"].bytes_list.value[0] for name, found in (train | test).items() if "label" in found} == {
        "train/cat/1.png": b"cat",
        "train/dog/deep/2.jpg": b"dog",
        "test/dog/3.webp": b"dog",
    }
    np.testing.assert_array_equal(decode(tf.constant([came["test/dog/3.webp"]]), Shape(32, 32, 3)), [pixels(3)])


def test_without_a_test_part_an_image_stays_on_its_side_whatever_is_added(tmp_path, run_nodes):
    files = {f"{i:02d}.png": png(i) for i in range(40)}
    folder = run_nodes([asked(data=write_files(tmp_path / "one", files), test_share=0.3)])
    train, test = (set(examples(folder, split)) for split in ("train", "test"))
    assert train | test == set(files)
    assert not train & test
    assert 4 <= len(test) <= 20, "binomial of 40 draws of 0.3, five standard deviations"
    assert "label" not in next(iter(examples(folder, "test").values()))
    other = tmp_path / "other"
    other.mkdir()
    more = {f"new/{i}.png": png(100 + i) for i in range(20)} | {f"old/{name}": image for name, image in files.items()}
    (tmp_path / "artifacts").rename(tmp_path / "before")
    folder = run_nodes([asked(data=write_files(other, more), test_share=0.3)])
    assert {name.removeprefix("old/") for name in examples(folder, "test") if name.startswith("old/")} == test


BAD = {
    "broken.png": png(5)[:300],
    "notes.txt": b"not an image",
    "small.png": png(6, (16, 32, 3)),
}


@pytest.fixture(scope="module")
def partly(tmp_path_factory):
    """A directory of 16 images with a label, one without, and three that are unreadable."""
    files = {f"train/cat/{i:02d}.png": png(i) for i in range(14)} | {f"test/cat/{i}.png": png(90 + i) for i in range(2)}
    files["train/stray.png"] = png(14)
    names = ["train/cat/broken.png", "train/cat/notes.txt", "test/cat/small.png"]
    return write_files(tmp_path_factory.mktemp("partly"), files | dict(zip(names, BAD.values(), strict=True)))


def test_unreadable_files_are_counted_and_named_and_end_the_run(partly, run_nodes):
    with pytest.raises(Exception) as error:  # noqa: PT011  Beam chooses the type
        run_nodes([asked(data=partly, max_unreadable=0.14)])
    failure = failure_of(error.value, "root")
    assert failure.kind == Kind.BAD_INPUT
    assert failure.sentence == "3 of 20 images cannot be read"
    assert [text.split(", ")[0] for text in failure.value] == [
        "image test/cat/small.png",
        "image train/cat/broken.png",
        "image train/cat/notes.txt",
    ]


def test_up_to_the_share_they_are_left_out(partly, run_nodes, caplog):
    folder = run_nodes([asked(data=partly, max_unreadable=0.15)])
    train = examples(folder, "train")
    assert (len(train), len(examples(folder, "test"))) == (15, 2)
    assert {name for name, found in train.items() if "label" not in found} == {"train/stray.png"}
    (warning,) = [record.getMessage() for record in caplog.records if "cannot be read" in record.getMessage()]
    assert warning.startswith("3 of 20 images cannot be read; left out, as max_unreadable allows: image test/cat/small")


def test_groups_and_batches_together_are_all_files_once(tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "SHARD_FILES", 4)
    monkeypatch.setattr(image_folder, "BATCH_BYTES", 6000)  # an image has 3 kB
    files = {f"{name}/{i}.png": png(i) for name in "ab" for i in range(5)}
    source = ImageFolder.of(write_files(tmp_path, files), {"train": ""})
    batches = [list(source.read(shard)) for shard in source.shards("train")]
    assert [sum(len(batch.ids) for batch in of) for of in batches] == [4, 4, 2]
    assert max(len(batch.ids) for of in batches for batch in of) == 2
    rows = [row for of in batches for batch in of for row in zip(batch.ids, batch.images, batch.labels, strict=True)]
    assert rows == [(name.encode(), image, name[:1].encode()) for name, image in files.items()]


def test_a_file_that_vanishes_is_a_failed_read_and_no_bad_input(tmp_path):
    source = ImageFolder.of(write_files(tmp_path, {"a.png": png(1)}), {"train": ""})
    (shard,) = source.shards("train")
    os.remove(tmp_path / "a.png")
    with pytest.raises(UnreadableError) as error:
        list(source.read(shard))
    assert error.value.failure.value == f"{tmp_path}/a.png"


def test_linked_directories_are_followed(tmp_path):
    write_files(tmp_path, {"elsewhere/a.png": png(1), "data/cat/b.png": png(2)})
    (tmp_path / "data/dog").symlink_to(tmp_path / "elsewhere")
    source = ImageFolder.of(str(tmp_path / "data"), {"train": ""})
    (shard,) = source.shards("train")
    assert shard.names == ("cat/b.png", "dog/a.png")
    assert [label for batch in source.read(shard) for label in batch.labels] == [b"cat", b"dog"]


def test_a_label_whose_name_is_no_text_is_shown_as_one(tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9\n")
    os.mkdir(folder)
    with open(os.path.join(folder, b"a.png"), "wb") as file:
        file.write(png(1))
    source = ImageFolder.of(str(tmp_path), {"train": ""})
    (shard,) = source.shards("train")
    (batch,) = source.read(shard)
    assert (batch.labels, batch.ids) == ([rb"caf\xe9\n"], [b"caf\xe9\n/a.png"])


def test_a_bound_of_labels_needs_labels(tmp_path):
    node = asked(data=write_files(tmp_path, {"a.png": png(1)}), min_label_elbo=-2000.0)
    with (
        metadata.Metadata(metadata.sqlite_metadata_connection_config(":memory:")) as handle,
        pytest.raises(ValueError, match="the data have no labels") as error,
    ):
        ImageDriver(handle).resolve_exec_properties(dict(node.exec_properties))
    assert (error.value.setting, error.value.failure.value) == ("min_label_elbo", -2000.0)
