"""A damaged folder is found, and moved with its digests to a name that says when and why."""

import json
import os
import pathlib

import pytest

from trainer.errors import ReportedError, UnreadableError
from trainer.storage import quarantine
from trainer.storage.digests import digest_file, write_digests
from trainer.storage.durable import write_durably
from trainer.storage.quarantine import DAMAGED, damage, quarantine_folder


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "artifact"
    path.mkdir()
    (path / "file").write_text("content")
    write_digests(str(path))
    return path


def test_a_folder_is_damaged_if_a_byte_has_changed(folder):
    assert damage(str(folder)) is None
    (folder / "file").write_text("contend")
    assert str(folder / "file") in damage(str(folder))


def test_a_folder_that_cannot_be_read_is_not_damaged(folder, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(quarantine, "verify_digests", fail)
    with pytest.raises(UnreadableError) as error:
        damage(str(folder))
    assert error.value.failure.value == str(folder)


def test_a_damaged_folder_moves_with_its_digests_as_often_as_it_is_damaged(folder, tmp_path):
    moved = []
    for what in ("torn", "torn again"):
        moved.append(quarantine_folder(str(folder), what))
        assert moved[-1].startswith(f"{folder}{DAMAGED}")
        assert json.loads(pathlib.Path(f"{moved[-1]}.json").read_text())["reason"] == what
        assert os.path.exists(f"{moved[-1]}/file")
        assert os.path.exists(digest_file(moved[-1]))
        assert not folder.exists()
        folder.mkdir()
        (folder / "file").write_text("content")
        write_digests(str(folder))
    assert len(set(moved)) == 2


def test_a_folder_that_is_gone_leaves_its_reason_only(tmp_path):
    moved = quarantine_folder(str(tmp_path / "gone"), "missing")
    assert [path.name for path in tmp_path.iterdir()] == [os.path.basename(moved) + ".json"]


def test_a_folder_that_cannot_be_moved_is_one_message(folder, monkeypatch):
    def fail(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(ReportedError) as error:
        quarantine_folder(str(folder), "torn")
    assert (error.value.failure.value, error.value.failure.cause) == (str(folder), "Read-only file system")


def test_a_file_that_cannot_be_written_durably_stays_as_it_was(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(28, "No space left on device")

    write_durably(str(tmp_path / "file"), b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_durably(str(tmp_path / "file"), b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]
