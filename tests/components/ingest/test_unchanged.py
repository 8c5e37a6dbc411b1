"""Files that change while a run reads them are noticed, in every kind of data."""

import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from components.ingest.image_folder import ImageFolder
from components.ingest.own_data import open_data
from components.ingest.unchanged import listing, unchanged
from own_data import asked, write_files
from pipeline.failures import failure_of
from toy_data import pixels, png, rows, serialized, write_toy
from trainer.errors import InterruptError, ReportedError, UserError
from trainer.failure import Kind

PARTS = ["train"]


def images(folder):
    return open_data(write_files(folder, {"train/a.png": png(1), "train/b.png": png(2)}), None), "train/b.png"


def arrays(folder):
    np.savez(folder / "a.npz", x=pixels(1)[None])
    return open_data(str(folder), None), "a.npz"


def examples(folder):
    with tf.io.TFRecordWriter(str(folder / "a.tfrecord")) as writer:
        writer.write(serialized("a", png(1), 0))
    return open_data(str(folder), None), "a.tfrecord"


def prepared(folder):
    toy = write_toy(folder, rows("train", 2, 0), rows("test", 2, 9)) / "toy/1.0.0"
    (file,) = toy.glob("toy-train*")
    return open_data(str(toy), None), file.name


def append(path):
    path.write_bytes(path.read_bytes() + b"more")


def rewrite(path):
    """Writes as many bytes."""
    times = path.stat()
    path.write_bytes(bytes(times.st_size))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))


KINDS = pytest.mark.parametrize("kind", [images, arrays, examples, prepared], ids=lambda kind: kind.__name__)


@KINDS
@pytest.mark.parametrize("change", [append, rewrite, os.remove], ids=lambda change: change.__name__)
def test_a_file_that_changes_is_noticed(kind, change, tmp_path):
    source, name = kind(tmp_path)
    before = listing(source, PARTS)
    with pytest.raises(ReportedError) as error, unchanged(source, PARTS, before):
        change(pathlib.Path(source.location, name))
    assert error.value.failure.kind == Kind.INFRASTRUCTURE, "the next attempt may succeed"
    assert error.value.failure.value == str(listing(source, PARTS))


@KINDS
def test_files_that_stay_are_no_failure_and_hide_none(kind, tmp_path):
    source, name = kind(tmp_path)
    before = listing(source, PARTS)
    path = os.path.join(source.location, name)
    with open(path, "rb") as file, unchanged(source, PARTS, before):
        file.read()
    with pytest.raises(UserError, match="bad"), unchanged(source, PARTS, before):
        raise UserError("bad")


def test_a_change_explains_other_failures_but_no_signal(tmp_path):
    source, name = images(tmp_path)
    before = listing(source, PARTS)
    append(tmp_path / name)
    with pytest.raises(InterruptError), unchanged(source, PARTS, before):
        raise InterruptError(15)
    with pytest.raises(ReportedError) as error, unchanged(source, PARTS, before):
        raise UserError("a file is damaged")
    assert error.value.failure.cause == "a file is damaged"


def test_an_image_that_arrives_while_beam_reads_ends_the_run_and_counts_in_the_next(tmp_path, run_nodes, monkeypatch):
    data, shards = write_files(tmp_path / "data", {f"{i}.png": png(i) for i in range(40)}), ImageFolder.shards

    def arrives(source, part):
        write_files(tmp_path / "data", {"half.png": png(99)[:50]})
        yield from shards(source, part)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFolder, "shards", arrives)
        with pytest.raises(ReportedError) as error:
            run_nodes([asked(data=data)])
    failure = failure_of(error.value, "root")
    assert failure.kind == Kind.INFRASTRUCTURE
    assert "newest: half.png" in failure.value
    write_files(tmp_path / "data", {"half.png": png(99)})
    folder = run_nodes([asked(data=data)])
    files = tf.io.gfile.glob(str(folder / "ImageExampleGen/examples/*/Split-*/*"))
    assert sum(1 for _ in tf.data.TFRecordDataset(files, compression_type="GZIP")) == 41


def test_the_wording_of_the_message(tmp_path):
    source = open_data(write_files(tmp_path, {"a.png": b"12345"}), None)
    before = listing(source, PARTS)
    os.utime(tmp_path / "a.png", ns=(0, 0))
    with pytest.raises(ReportedError) as error, unchanged(source, PARTS, before):
        write_files(tmp_path, {"b.png": b"67"})
    assert str(error.value).replace(str(tmp_path), "FOLDER") == (
        "the data in FOLDER changed while the run read them: expected files: 1, bytes: 5, newest: a.png, as at its "
        "start, got 'files: 2, bytes: 7, newest: b.png'. Run again when nothing writes there"
    )
