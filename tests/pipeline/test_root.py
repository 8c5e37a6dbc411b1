import dataclasses
import errno
import fcntl
import pathlib

import pytest

from pipeline.config import PipelineConfig
from pipeline.root import open_root
from trainer.config import TrainConfig
from trainer.errors import StorageError, UserError
from trainer.lock import BusyError


@pytest.fixture
def config(tmp_path):
    return PipelineConfig(dataset="cifar10", train=TrainConfig(), root=str(tmp_path / "root"))


def test_every_run_has_a_log_file_of_its_own(config):
    with open_root(config) as first:
        pass
    assert pathlib.Path(first).is_file()
    assert pathlib.Path(first).parent == pathlib.Path(config.root, "logs")


def test_two_runs_at_once_are_kept_apart_and_two_in_turn_are_not(config):
    expected = f"^another run is at work in {config.root}: wait for its end, or choose another --root$"
    with open_root(config), pytest.raises(BusyError, match=expected):
        open_root(config).__enter__()
    with open_root(config):
        pass


def test_a_disk_without_locks_is_no_other_run(config, monkeypatch, caplog):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with open_root(config):
        assert f"{config.root} cannot be locked (No locks available): let no other run use it" in caplog.text


def test_a_root_that_cannot_be_written_says_so(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        open_root(dataclasses.replace(config, root=str(tmp_path / "file/root"))).__enter__()


@pytest.mark.parametrize("call", ["mkdir", "touch"])
def test_a_full_disk_is_no_mistake_of_the_user(call, config, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, call, fail)
    with pytest.raises(StorageError, match=f"cannot be written to {config.root}: No space left on device. Free some"):
        open_root(config).__enter__()


def test_results_without_their_database_are_not_mixed_with_new_ones(config):
    pathlib.Path(config.artifacts, "Trainer").mkdir(parents=True)
    with pytest.raises(UserError, match=r"has results, but the database .* is gone"):
        open_root(config).__enter__()


def test_a_broken_database_is_named(config):
    pathlib.Path(config.root).mkdir()
    pathlib.Path(config.metadata).write_text("this is no database " * 100)
    with pytest.raises(UserError, match=rf"{config.metadata} is not a database of ML Metadata"):
        open_root(config).__enter__()
