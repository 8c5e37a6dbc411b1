import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.orchestration import metadata
from tfx.types import artifact_utils

from components.ingest.duplicates import shared_images
from components.ingest.example_gen import ImageDriver, ImageExampleGen
from components.ingest.validator import StrictExampleValidator
from pipeline.dag import schema_of
from pipeline.words import BAD_INPUT, explain
from toy_data import pixels, png, rows, write, write_toy
from trainer.images import EXAMPLE_FEATURES, load_images, preprocess


def example_gen(*data_dirs, **options):
    return ImageExampleGen("toy", [str(data_dir) for data_dir in data_dirs], None, **options)


def read(folder, split):
    files = tf.io.gfile.glob(str(folder / "ImageExampleGen/examples/*" / f"Split-{split}/*"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    return [tf.io.parse_single_example(record, EXAMPLE_FEATURES) for record in records]


def refusal(run_nodes, node):
    """What a person is told when `node` ends in bad input."""
    with pytest.raises(Exception) as error:  # noqa: PT011  Beam chooses the type
        run_nodes([node])
    message, code = explain(error.value, "root")
    assert code == BAD_INPUT, f"not an error for a person: {error.value!r}"
    assert "\n" not in message
    return message


def test_every_row_becomes_an_example_with_its_bytes_label_and_id(tmp_path, run_nodes):
    train, test = rows("train", 30, 0), rows("test", 12, 100)
    folder = run_nodes([example_gen(write_toy(tmp_path, train, test))])
    for split, expected in (("train", train), ("test", test)):
        came = {(e["id"].numpy().decode(), e["image"].numpy(), int(e["label"])) for e in read(folder, split)}
        assert came == set(expected)


def test_a_data_set_without_ids_gets_those_of_tfds(tmp_path, run_nodes):
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(32, 32, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
    )
    splits = {
        split: [(i, {"image": tf.io.decode_png(png(seed + i)).numpy(), "label": 0}) for i in range(3)]
        for split, seed in (("train", 0), ("test", 10))
    }
    folder = run_nodes([example_gen(write(tmp_path, features, splits))])
    ids = {e["id"].numpy().decode() for split in ("train", "test") for e in read(folder, split)}
    assert len(ids) == 6
    assert all("toy-" in name for name in ids)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (png(7)[:1000], "image bad cannot be decoded: expected a whole PNG, JPEG or BMP, got 1000 bytes"),
        (b"not an image", "image bad cannot be decoded"),
        (b"", "image bad cannot be decoded"),
        (tf.io.encode_png(pixels(7).astype(np.uint16) * 257).numpy(), "image bad has 16 bits a colour: expected 8"),
        (png(7, (16, 32, 3)), "image bad: expected the shape (32, 32, 3), got (16, 32, 3)"),
        (png(7, (32, 32, 1)), "image bad: expected the shape (32, 32, 3), got (32, 32, 1)"),
    ],
    ids=["truncated", "garbage", "empty", "16 bits", "small", "grey"],
)
def test_a_bad_image_stops_ingestion_by_its_id_and_leaves_no_artifact(tmp_path, run_nodes, image, expected):
    data_dir = write_toy(tmp_path, [*rows("train", 5, 0), ("bad", image, 0)], rows("test", 5, 100))
    message = refusal(run_nodes, example_gen(data_dir))
    assert expected in message
    assert re.search(r"remove record 5 \(the first is 0\) of \S*/toy-train\S* and prepare the data set again", message)
    assert not list((tmp_path / "artifacts").glob("ImageExampleGen/examples/*"))


def test_test_images_that_are_also_in_train_are_counted_and_refused(tmp_path, run_nodes):
    twins = [("twin", png(101), 0), ("twin of twin", png(101), 0), ("other twin", png(103), 0)]
    data_dir = write_toy(tmp_path, [*rows("train", 5, 0), *twins], [*rows("test", 5, 100), ("again", png(103), 0)])
    message = refusal(run_nodes, example_gen(data_dir))
    assert message.startswith("3 of 6 test images are also training images, pixel by pixel, such as ")
    assert "again (in train: other twin) and test_001 (in train: twin)" in message
    assert "or accept them with --allow-shared-images" in message
    assert not list((tmp_path / "artifacts").glob("ImageExampleGen/examples/*"))


def test_the_same_pixels_in_another_encoding_are_the_same_image(tmp_path, run_nodes):
    bmp = b"BM" + (54 + 3072).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    bmp += (32).to_bytes(4, "little") * 2 + b"\1\0\x18\0" + bytes(24) + pixels(101)[::-1, :, ::-1].tobytes()
    data_dir = write_toy(tmp_path, [*rows("train", 5, 0), ("twin", bmp, 0)], rows("test", 5, 100))
    assert "such as test_001 (in train: twin)" in refusal(run_nodes, example_gen(data_dir))


def recorded(tmp_path):
    """The Examples artifacts in the database."""
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(tmp_path / "mlmd.sqlite"))) as handle:
        (artifact_type,) = (kind for kind in handle.store.get_artifact_types() if kind.name == "Examples")
        found = handle.store.get_artifacts_by_type("Examples")
    return [artifact_utils.deserialize_artifact(artifact_type, artifact) for artifact in found]


@pytest.mark.parametrize("shared", [0, 2])
def test_allowed_shared_images_are_recorded_in_the_artifact(tmp_path, run_nodes, caplog, shared):
    train = [*rows("train", 5, 0), *rows("twin", shared, 100)]
    run_nodes([example_gen(write_toy(tmp_path, train, rows("test", 5, 100)), allow_shared_images=True)])
    (artifact,) = recorded(tmp_path)
    assert shared_images(artifact) == shared
    assert ("2 of 5 test images are also training images" in caplog.text) == bool(shared)
    assert len(read(tmp_path / "artifacts", "train")) == len(train)


def test_a_permission_is_not_taken_from_the_cache_once_it_is_withdrawn(tmp_path, run_nodes):
    data_dir = write_toy(tmp_path, [*rows("train", 5, 0), *rows("twin", 1, 100)], rows("test", 5, 100))
    run_nodes([example_gen(data_dir, allow_shared_images=True)])
    assert "1 of 5 test images" in refusal(run_nodes, example_gen(data_dir))


@pytest.mark.parametrize("split", ["train", "test"])
def test_repeated_ids_are_refused_with_their_number(tmp_path, run_nodes, split):
    content = {"train": rows("train", 5, 0), "test": rows("test", 5, 100)}
    content[split] += [("same", png(200 + i), 0) for i in range(3)]
    message = refusal(run_nodes, example_gen(write_toy(tmp_path, **content)))
    assert message.startswith(f"split {split}: 1 id(s) are those of more than one image, such as same (3 images)")


def test_train_and_test_may_use_the_same_ids(tmp_path, run_nodes):
    run_nodes([example_gen(write_toy(tmp_path, rows("image", 5, 0), rows("image", 5, 100)))])
    assert {e["id"].numpy() for e in read(tmp_path / "artifacts", "test")} == {b"image_%03d" % i for i in range(5)}


ID_FEATURES = {
    "text": (tfds.features.Text(), ["Aa", "aA", "aa", "AA", "a", "a\0", "", "\u00e9", "e\u0301", " aa"]),
    "bytes": (tfds.features.Scalar(np.object_), [b"\xff\xfe", b"\xff", b"\x80", b"\xc3\xa9", b"\n"]),
    "int64": (tfds.features.Scalar(np.int64), [0, 7, 70, -7, -(2**63), 2**63 - 1]),
    "uint8": (tfds.features.Scalar(np.uint8), [0, 7, 255]),
    "uint64": (tfds.features.Scalar(np.uint64), [0, 7, 2**64 - 1]),
}


@pytest.mark.parametrize("kind", ID_FEATURES)
def test_ids_of_every_kind_go_through_statistics_validation_and_training(tmp_path, run_nodes, kind):
    feature, names = ID_FEATURES[kind]
    content = [(name, png(i), i % 10) for i, name in enumerate(names)]
    data_dir = write_toy(tmp_path, content, [(name, png(100 + i), 0) for i, name in enumerate(names)], feature)
    nodes = [example_gen(data_dir)]
    nodes.append(StatisticsGen(nodes[0].outputs["examples"]))
    nodes.append(schema_of("toy"))
    nodes.append(StrictExampleValidator(nodes[1].outputs["statistics"], nodes[2].outputs["schema"]))
    folder = run_nodes(nodes)
    faithful = {name if isinstance(name, bytes) else str(name).encode(): png(i) for i, name in enumerate(names)}
    assert {e["id"].numpy(): e["image"].numpy() for e in read(folder, "train")} == faithful
    images = load_images([str(folder / "ImageExampleGen/examples/*/Split-train/*")], preprocess)
    assert len(images) == len(set(images.noise_seeds)) == len(names)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record", "parquet"])
def test_every_format_that_is_read_gives_the_same_examples(tmp_path, run_nodes, file_format):
    train = rows("train", 100 if file_format == "parquet" else 300, 0)  # of the others more than one batch
    folder = run_nodes([example_gen(write_toy(tmp_path, train, rows("test", 3, 900), file_format=file_format))])
    came = [(e["id"].numpy().decode(), e["image"].numpy(), int(e["label"])) for e in read(folder, "train")]
    assert sorted(came) == sorted(train)


@pytest.mark.parametrize("encoding", ["none", "bytes", "zlib"])
def test_a_tensor_of_bytes_is_an_image(tmp_path, run_nodes, encoding):
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Tensor(shape=(32, 32, 3), dtype=np.uint8, encoding=encoding),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
    )
    splits = {
        split: [(i, {"image": pixels(first + i), "label": i}) for i in range(5)]
        for split, first in (("train", 0), ("test", 10))
    }
    folder = run_nodes([example_gen(write(tmp_path, features, splits))])
    for e in read(folder, "train"):
        np.testing.assert_array_equal(tf.io.decode_png(e["image"]), pixels(int(e["label"])))


def executed(caplog):
    return not any("A cached execution" in record.getMessage() for record in caplog.records)


def test_the_cache_holds_for_the_same_data_and_misses_for_changed_code(tmp_path, run_nodes, caplog, monkeypatch):
    caplog.set_level("INFO", logger="absl")
    data_dir = write_toy(tmp_path, rows("train", 5, 0), rows("test", 5, 100))
    run_nodes([example_gen(data_dir)])
    caplog.clear()
    run_nodes([example_gen(data_dir)])
    assert not executed(caplog)
    caplog.clear()
    run_nodes([example_gen("/no/such/folder", data_dir)])  # the same data, found in another way
    assert not executed(caplog)
    caplog.clear()
    monkeypatch.setattr("pipeline.state.cache.code_of", lambda node: "edited")
    run_nodes([example_gen(data_dir)])
    assert executed(caplog)


def test_the_cache_depends_on_what_is_in_the_files_and_not_on_their_place_or_time(tmp_path, run_nodes, caplog):
    caplog.set_level("INFO", logger="absl")
    data_dir = write_toy(tmp_path, rows("train", 5, 0), rows("test", 5, 100))
    run_nodes([example_gen(data_dir)])
    (file,) = data_dir.glob("toy/1.0.0/toy-train*")
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_bytes(file.read_bytes())  # the same bytes, written anew
    caplog.clear()
    run_nodes([example_gen(data_dir)])
    assert not executed(caplog)
    file.write_bytes(flipped(file.read_bytes(), 2000))
    os.utime(file, ns=times)
    assert "record 0 of 5 (the first is 0) is damaged" in refusal(run_nodes, example_gen(data_dir))


def test_of_the_properties_only_input_base_tells_where_the_data_are(tmp_path):
    data_dir = write_toy(tmp_path / "one", rows("train", 5, 0), rows("test", 5, 100))
    shutil.copytree(data_dir, tmp_path / "two")
    one, two = (resolved(example_gen(tmp_path / "none", tmp_path / name)) for name in ("one", "two"))
    assert one.pop("input_base") == str(tmp_path / "one/toy/1.0.0")
    assert two.pop("input_base") == str(tmp_path / "two/toy/1.0.0")
    assert one == two
    assert str(tmp_path) not in str(one)


def resolved(node):
    """The execution properties after the driver."""
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(":memory:")) as handle:
        return ImageDriver(handle).resolve_exec_properties(dict(node.exec_properties))


@pytest.mark.parametrize(
    ("name", "damage", "complaint"),
    [
        (
            "toy-train*",
            lambda data: flipped(data, len(data) // 2),
            r"toy-train.*: record 2 of 5 .* is damaged: .*corrupt",
        ),
        (
            "toy-test*",
            lambda data: data[: len(data) * 4 // 5 + 99],
            r"toy-test.*: record 4 of 5 .* is damaged: .*trunc",
        ),
        ("toy-test*", lambda data: data[: len(data) * 4 // 5], "toy-test.* has 4 readable records, expected the 5 of"),
        ("toy-test*", lambda data: b"", "toy-test.* has 0 readable records, expected the 5 of dataset_info.json"),
        ("toy-train*", lambda data: bytes(len(data)), "toy-train.*: record 0 of 5 .* is damaged"),
        ("dataset_info.json", lambda data: data.replace(b'"5"', b'"4"'), "has 5 readable records, expected the 4"),
    ],
    ids=["flipped", "truncated", "truncated between records", "emptied", "zeroed", "lengths"],
)
def test_damaged_source_data_are_named_with_file_record_and_remedy(tmp_path, run_nodes, name, damage, complaint):
    data_dir = write_toy(tmp_path, rows("train", 5, 0), rows("test", 5, 100))
    (file,) = data_dir.glob(f"toy/1.0.0/{name}")
    file.write_bytes(damage(file.read_bytes()))
    message = refusal(run_nodes, example_gen(data_dir))
    assert re.search(complaint, message)
    assert message.startswith(f"{tmp_path}/toy/1.0.0/")
    assert message.endswith("Copy the data set again, or delete its folder and prepare it again")


def flipped(data, position):
    return data[:position] + bytes([data[position] ^ 16]) + data[position + 1 :]
