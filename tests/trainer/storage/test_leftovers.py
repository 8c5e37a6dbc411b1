"""Abandoned folders are removed, even while other runs remove the same ones."""

import os
import shutil
import time

import pytest
import tensorflow as tf

from trainer.storage.leftovers import DAY, clear

OLD = time.time() - 31 * DAY


@pytest.fixture
def folders(tmp_path):
    """Two old folders, one of them of another prefix, and a new one."""
    for name in ("a-old", "a-new", "b-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        if name.endswith("old"):
            os.utime(tmp_path / name, (OLD, OLD))
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"prefix": "", "days": 30}, ["a-new"]),
        ({"prefix": "a-", "days": 30}, ["a-new", "b-old"]),
        ({"prefix": "", "days": 32}, ["a-new", "a-old", "b-old"]),
        ({"prefix": "", "days": 30, "keep": "a-old"}, ["a-new", "a-old"]),
    ],
)
def test_old_folders_go_but_that_of_the_caller(settings, left, folders):
    clear(str(folders), **settings)
    assert names(folders) == left


def test_a_folder_that_is_not_there_has_nothing_to_clear(tmp_path):
    clear(str(tmp_path / "nowhere"), "", days=30)


@pytest.mark.parametrize(
    ("module", "call", "failed"),
    [
        (tf.io.gfile, "stat", tf.errors.NotFoundError(None, None, "gone")),
        (tf.io.gfile, "rmtree", tf.errors.NotFoundError(None, None, "gone")),
    ],
)
def test_what_another_run_removes_meanwhile_is_no_error(module, call, failed, folders, monkeypatch):
    first = getattr(module, call)

    def too_late(path):
        if path.endswith("a-old"):
            shutil.rmtree(path)
            raise failed
        return first(path)

    monkeypatch.setattr(module, call, too_late)
    clear(str(folders), "", days=30)
    assert names(folders) == ["a-new"]


@pytest.mark.parametrize(
    "error", [OSError(1, "Operation not permitted"), tf.errors.PermissionDeniedError(None, None, "no")]
)
def test_what_cannot_be_removed_is_a_warning_and_the_others_go(error, folders, monkeypatch, caplog):
    first = tf.io.gfile.rmtree

    def fail(path):
        if path.endswith("a-old"):
            raise error
        first(path)

    monkeypatch.setattr(tf.io.gfile, "rmtree", fail)
    clear(str(folders), "", days=30)
    assert names(folders) == ["a-new", "a-old"]
    (record,) = caplog.records
    assert record.args[0] == f"{folders}/a-old"
