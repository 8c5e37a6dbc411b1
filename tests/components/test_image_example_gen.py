import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from components.image_example_gen import ImageExampleGen
from pipeline.words import BAD_INPUT, explain
from toy_data import png, rows, write, write_toy
from trainer.images import EXAMPLE_FEATURES


def example_gen(*data_dirs, code="1"):
    return ImageExampleGen("toy", [str(data_dir) for data_dir in data_dirs], None, code)


def read(folder, split):
    files = tf.io.gfile.glob(str(folder / "ImageExampleGen/examples/*" / f"Split-{split}/*"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    return [tf.io.parse_single_example(record, EXAMPLE_FEATURES) for record in records]


def message_of(error):
    message, code = explain(error.value, "root")
    assert code == BAD_INPUT, f"not an error for a person: {error.value!r}"
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
        (png(7, (16, 32, 3)), "image bad: expected the shape (32, 32, 3), got (16, 32, 3)"),
        (png(7, (32, 32, 1)), "image bad: expected the shape (32, 32, 3), got (32, 32, 1)"),
    ],
    ids=["truncated", "garbage", "empty", "small", "grey"],
)
def test_a_bad_image_stops_ingestion_by_its_id_and_leaves_no_artifact(tmp_path, run_nodes, image, expected):
    data_dir = write_toy(tmp_path, [*rows("train", 5, 0), ("bad", image, 0)], rows("test", 5, 100))
    with pytest.raises(Exception) as error:  # noqa: PT011  Beam chooses the type
        run_nodes([example_gen(data_dir)])
    assert expected in message_of(error)
    assert not list((tmp_path / "artifacts").glob("ImageExampleGen/examples/*"))


def test_a_test_image_that_is_also_in_train_stops_ingestion(tmp_path, run_nodes):
    data_dir = write_toy(tmp_path, [*rows("train", 5, 0), ("twin", png(101), 0)], rows("test", 5, 100))
    with pytest.raises(Exception) as error:  # noqa: PT011  Beam chooses the type
        run_nodes([example_gen(data_dir)])
    assert "the test image test_001 is also the training image twin" in message_of(error)


def executed(caplog):
    return not any("A cached execution" in record.getMessage() for record in caplog.records)


def test_the_cache_holds_for_the_same_data_and_misses_for_changed_data_or_code(tmp_path, run_nodes, caplog):
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
    run_nodes([example_gen(data_dir, code="2")])
    assert executed(caplog)
    (file,) = data_dir.glob("toy/1.0.0/toy-train*")
    file.write_bytes(file.read_bytes())  # the same bytes, written anew
    caplog.clear()
    run_nodes([example_gen(data_dir)])
    assert executed(caplog)
