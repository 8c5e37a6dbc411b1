"""The ingestion of one span: ids, properties, its marker, and what it may not have."""

import io

import numpy as np
import pytest
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import artifact_utils

from components.ingest.example_gen import Asked, ImageExampleGen
from components.ingest.properties import images_in, span_name, span_number
from components.ingest.spans import Span
from own_data import DEFAULTS, write_files
from pipeline.state.database import sqlite_connection
from pipeline.state.metadata import Metadata
from toy_data import FEATURES, png, rows, write, write_toy
from trainer.errors import UserError

ASKED = Asked(**{**DEFAULTS, "data_dirs": [], "span_marker": "_SUCCESS"})


@pytest.fixture
def ingest(tmp_path, run_nodes):
    """Ingests a span, and returns its Examples."""

    def of(path, name="2026-01-03", version=2, asked=ASKED):
        folder = run_nodes([ImageExampleGen(asked, Span(20456, version, name, str(path)))])
        with Metadata(sqlite_connection(str(tmp_path / "mlmd.sqlite")), str(tmp_path)) as handle:
            *_, newest = handle.store.get_artifacts_by_type("Examples")
            found = artifact_utils.deserialize_artifact(handle.store.get_artifact_type("Examples"), newest)
        assert found.mlmd_artifact.state == mlmd.Artifact.LIVE
        assert found.uri.startswith(str(folder))
        return found

    return of


def ids(examples, split):
    files = tf.io.gfile.glob(f"{artifact_utils.get_split_uri([examples], split)}/*")
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    features = [tf.train.Example.FromString(record).features.feature for record in records]
    return {feature["id"].bytes_list.value[0].decode() for feature in features}


def test_ids_start_with_the_name_of_the_span_and_its_marker_is_no_image(tmp_path, ingest):
    files = {f"cat/{i:02}.png": png(i, (8, 8, 1)) for i in range(60)}
    examples = ingest(write_files(tmp_path / "in", {**files, "_SUCCESS": b""}))
    train, test = ids(examples, "train"), ids(examples, "test")
    assert train | test == {f"2026-01-03/{name}" for name in files}
    assert train
    assert test
    assert (images_in(examples, "train"), images_in(examples, "test")) == (len(train), len(test))
    assert (span_name(examples), span_number(examples)) == ("2026-01-03", 20456)
    assert examples.get_int_custom_property("version") == 2


def test_a_span_may_be_of_every_kind(tmp_path, ingest):
    images = np.arange(40 * 8 * 8, dtype=np.uint64).reshape([40, 8, 8]).astype(np.uint8)
    np.savez(tmp_path / "7.npz", images=images, labels=np.zeros([40], np.int64))
    examples = ingest(tmp_path / "7.npz", "7.npz")
    assert "7.npz/7.npz/images__0" in ids(examples, "train") | ids(examples, "test")
    of_train = [
        (i, {"id": name, "image": io.BytesIO(image), "label": label})
        for i, (name, image, label) in enumerate(rows("train", 40, 0))
    ]
    examples = ingest(write(tmp_path / "8", FEATURES, {"train": of_train}) / "toy/1.0.0", "8")
    assert "8/train_000" in ids(examples, "train") | ids(examples, "test")


def test_a_span_may_be_too_small_for_both_splits(tmp_path, ingest):
    examples = ingest(write_files(tmp_path / "in", {"a.png": png(1, (8, 8, 1))}))
    one, other = sorted(("train", "test"), key=lambda split: images_in(examples, split))
    assert (ids(examples, one), ids(examples, other)) == (set(), {"2026-01-03/a.png"})


@pytest.mark.parametrize("kind", ["images", "tfds"])
def test_a_part_for_test_is_refused(tmp_path, ingest, kind):
    if kind == "images":
        path = write_files(tmp_path / "in", {f"{split}/a.png": png(1) for split in ("train", "test")})
    else:
        path = str(write_toy(tmp_path / "in", rows("train", 5, 0), rows("test", 5, 9)) / "toy/1.0.0")
    with pytest.raises(UserError) as error:
        ingest(path)
    assert error.value.failure.value == path
    assert str(error.value) == (
        "the span 2026-01-03 has a part for test: expected none with spans, whose test images a hash of each chooses: "
        "an image of the test part of one span may be in the train part of an earlier one, on which the served model "
        f"was trained, got '{path}'. Put all its images into one folder, or into train"
    )
