"""Examples on disk: files of bounded size, with names and content that depend on the piece alone."""

import tensorflow as tf

from components.ingest import findings, writing
from components.ingest.writing import SplitWriter
from trainer.storage.digests import compute_digests


def written(folder, examples):
    """The names and records of the files of a piece."""
    findings.prepare(str(folder))
    writer = SplitWriter(str(folder), "train", "000-000007")
    for example in examples:
        writer.write(example, findings.key(example, b""))
    writer.close()
    files = sorted((folder / "Split-train").iterdir())
    records = {file.name: list(tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator()) for file in files}
    keys = {file.name: (folder / ".ingestion/train" / file.name).read_bytes() for file in files}
    assert keys == {name: b"".join(findings.key(one, b"") for one in content) for name, content in records.items()}
    return records


def test_a_full_file_is_closed_and_the_next_one_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "FILE_BYTES", 10)
    assert written(tmp_path, [b"12345", b"67890", b"a large one", b"rest"]) == {
        "data_tfrecord-000-000007-00000.gz": [b"12345", b"67890"],
        "data_tfrecord-000-000007-00001.gz": [b"a large one"],
        "data_tfrecord-000-000007-00002.gz": [b"rest"],
    }


def test_a_split_without_images_has_no_file(tmp_path):
    assert written(tmp_path, []) == {}


def test_a_second_worker_on_a_piece_replaces_its_files_by_equal_ones(tmp_path):
    findings.prepare(str(tmp_path))
    first = SplitWriter(str(tmp_path), "train", "000-000007")
    first.write(b"example", findings.key(b"", b""))
    assert compute_digests(str(tmp_path)) == {}, "an unfinished file is hidden"
    second = SplitWriter(str(tmp_path), "train", "000-000007")
    second.write(b"example", findings.key(b"", b""))
    second.close()
    found = compute_digests(str(tmp_path))
    assert [*found] == ["Split-train/data_tfrecord-000-000007-00000.gz"]
    first.close()
    assert compute_digests(str(tmp_path)) == found
