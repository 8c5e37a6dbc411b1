"""What is written appears whole or not at all, and whoever cannot write says why."""

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
