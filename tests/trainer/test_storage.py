"""What is written appears whole or not at all, and whoever cannot write says why."""

import errno
import os
import pathlib

import pytest
import tensorflow as tf

from trainer.errors import StorageError, reason
from trainer.storage import remove, storing, whole


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("before", [None, "file", "folder"])
def test_it_is_there_when_it_is_whole_whatever_was_there_before(kind, before, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(before, tmp_path / "it", "old")
    with whole("it", "it") as path:
        make(kind, pathlib.Path(path), "new")
        assert (tmp_path / "it").exists() == bool(before)
    assert [found.name for found in tmp_path.iterdir()] == ["it"]
    assert "new" in (tmp_path / "it" / "content" if kind == "folder" else tmp_path / "it").read_text()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_if_it_fails_there_is_what_was_there(kind, tmp_path):
    def write(path):
        with whole("it", str(path)) as unfinished:
            make(kind, pathlib.Path(unfinished), "half")
            raise ZeroDivisionError

    make(kind, tmp_path / "it", "old")
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "it")
    assert [found.name for found in tmp_path.iterdir()] == ["it"]
    assert "old" in (tmp_path / "it" / "content" if kind == "folder" else tmp_path / "it").read_text()


@pytest.fixture
def synced(monkeypatch):
    """Paths that the disk was made to hold, under the names that they had then."""
    found, fsync = [], os.fsync

    def note(descriptor):
        found.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return found


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="nobody says which file it is")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_disk_holds_all_of_it_before_it_gets_its_name_and_the_name_then(kind, synced, tmp_path):
    with whole("it", str(tmp_path / "it")) as unfinished:
        make(kind, pathlib.Path(unfinished), "new")
        if kind == "folder":
            make("folder", pathlib.Path(unfinished, "deeper"), "new")
    parts = ["", "/content", "/deeper", "/deeper/content"] if kind == "folder" else [""]
    assert sorted(synced[:-1]) == [unfinished + part for part in parts]
    assert synced[-1] == str(tmp_path)


def test_what_the_disk_does_not_hold_gets_no_name(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=r"^it cannot be written to .*: Input/output error"):
        write(tmp_path / "it")
    assert not list(tmp_path.iterdir())


def write(path):
    with whole("it", str(path)) as unfinished:
        make("folder", pathlib.Path(unfinished), "new")


def test_a_bucket_is_written_as_ever():
    with whole("it", "ram://bucket/it") as unfinished:
        tf.io.gfile.makedirs(unfinished)
    assert tf.io.gfile.isdir("ram://bucket/it")


def make(kind, path, content):
    if kind == "folder":
        path.mkdir()
        path /= "content"
    if kind:
        path.write_text(content)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "/there/state"),
        OSError("No space left on device"),
        tf.errors.ResourceExhaustedError(
            None, None, "{{function_node w}} /there/state; No space left on device [Op:Save]"
        ),
        tf.errors.UnknownError(None, None, "/there/state; No space left on device\n\tFailed to flush"),
    ],
)
def test_the_message_says_what_and_where_and_why_and_what_to_do(error):
    with pytest.raises(StorageError) as raised, storing("the model", "/there"):
        raise error
    assert str(raised.value) == (
        "the model cannot be written to /there: No space left on device. Free some space or choose another folder, and "
        "start again; nothing half-written was left"
    )
    assert raised.value.exit_code == 1, "a scheduler may try again"


def test_an_error_without_words_is_named():
    assert reason(IndexError()) == "IndexError"


def test_what_is_not_there_need_not_be_removed(tmp_path):
    remove(str(tmp_path / "it"))
