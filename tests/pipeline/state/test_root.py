import contextlib
import dataclasses
import errno
import fcntl
import pathlib
import shutil
import sqlite3
import subprocess
import sys

import pytest

from pipeline.settings import PipelineConfig
from pipeline.state.root import open_root
from trainer import exit_codes
from trainer.errors import StorageError, UserError
from trainer.settings import TrainConfig
from trainer.storage.lock import BusyError


@pytest.fixture
def config(tmp_path):
    return PipelineConfig(dataset="cifar10", train=TrainConfig(), root=str(tmp_path / "root"))


def test_every_run_has_a_log_file_of_its_own(config):
    with open_root(config) as first:
        pass
    assert pathlib.Path(first).is_file()
    assert pathlib.Path(first).parent == pathlib.Path(config.root, "logs")


def test_two_runs_at_once_are_kept_apart_and_two_in_turn_are_not(config):
    with open_root(config), pytest.raises(BusyError) as error:
        open_root(config).__enter__()
    assert error.value.failure.value == config.root
    with open_root(config):
        pass


def test_a_disk_without_locks_is_no_other_run(config, monkeypatch, caplog):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with open_root(config):
        (record,) = caplog.records
        assert "No locks available" in record.getMessage()


def test_a_root_that_cannot_be_written_says_so(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as error:
        open_root(dataclasses.replace(config, root=str(tmp_path / "file/root"))).__enter__()
    assert (error.value.failure.value, error.value.failure.cause) == (str(tmp_path / "file/root"), "Not a directory")


@pytest.mark.parametrize("call", ["mkdir", "touch"])
def test_a_full_disk_is_no_mistake_of_the_user(call, config, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, call, fail)
    with pytest.raises(StorageError) as error:
        open_root(config).__enter__()
    assert (error.value.failure.value, error.value.failure.cause) == (config.root, "No space left on device")


def test_results_without_their_database_are_not_mixed_with_new_ones(config):
    pathlib.Path(config.artifacts, "Trainer").mkdir(parents=True)
    with pytest.raises(UserError) as error:
        open_root(config).__enter__()
    assert error.value.failure.value == config.metadata
    assert str(error.value) == (
        f"{config.artifacts} has results, but their database {config.metadata} is missing. Restore it, or move the "
        "results away to start anew"
    )


def test_a_broken_database_is_named(config):
    pathlib.Path(config.root).mkdir()
    pathlib.Path(config.metadata).write_text("this is no database " * 100)
    with pytest.raises(UserError) as error:
        open_root(config).__enter__()
    assert str(error.value) == (
        f"{config.metadata} is not a database of ML Metadata (file is not a database). Restore a copy, or move it and "
        f"{config.artifacts} away to start anew"
    )


@pytest.mark.parametrize("name", ["per%2Fcent", "a#b", "Größe 漢", "cu{a,b}", "per%"])
def test_a_sound_database_is_found_whatever_its_folder_is_called(name, config, tmp_path):
    config = dataclasses.replace(config, root=str(tmp_path / name))
    pathlib.Path(config.root).mkdir()
    with contextlib.closing(sqlite3.connect(config.metadata)) as connection:
        connection.execute("CREATE TABLE Artifact (id INTEGER)")
    with open_root(config):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name], "no stray files"


HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("CREATE TABLE IF NOT EXISTS Artifact (id INTEGER)")
connection.execute(f"BEGIN {sys.argv[2]}")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def hold(config):
    """Starts a process that locks the database."""
    processes = []

    def start(kind):
        pathlib.Path(config.root).mkdir(exist_ok=True)
        command = [sys.executable, "-c", HOLD, config.metadata, kind]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert processes[0].stdout.readline() == "held\n"
        return processes[0]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_transaction_that_died_with_its_process_is_no_damage(hold, config):
    """It leaves a journal, which whoever may write rolls back."""
    process = hold("EXCLUSIVE")
    process.kill()
    process.wait()
    with open_root(config):
        pass


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM])
def test_a_database_that_cannot_be_written_is_not_called_damaged(code, config, monkeypatch):
    def fail(*_, **__):
        error = sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorcode = code
        raise error

    pathlib.Path(config.root).mkdir()
    pathlib.Path(config.metadata).touch()
    monkeypatch.setattr(sqlite3, "connect", fail)
    with pytest.raises(UserError) as error:
        open_root(config).__enter__()
    assert str(error.value) == (
        f"{config.metadata} cannot be read and written (attempt to write a readonly database). Give this user access, "
        "or choose another --root"
    )


def test_a_database_that_is_a_folder_is_one_sentence(config):
    pathlib.Path(config.metadata).mkdir(parents=True)
    with pytest.raises(UserError) as error:
        open_root(config).__enter__()
    assert error.value.failure.value == config.metadata


@pytest.mark.parametrize("made_before", ["", "vaeiaf/logs"])
def test_a_root_that_is_read_only_is_one_sentence(made_before, tmp_path):
    """On a real disk that is mounted so, where root too can write nothing."""
    shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs tmpfs "$0" && mkdir -p "$0/$1" && mount -o remount,ro "$0" && '
    if not shutil.which("unshare") or subprocess.run([*shell, mount + "true", str(tmp_path), made_before]).returncode:
        pytest.skip("no file systems of one's own here")
    command = [*shell, mount + 'exec "$2" -m pipeline run "--root=$0/vaeiaf"', str(tmp_path), made_before]
    done = subprocess.run([*command, sys.executable], capture_output=True, text=True)
    assert done.returncode == exit_codes.BAD_INPUT
    sentence = f"vaeiaf: --root {tmp_path}/vaeiaf cannot be written: Read-only file system. Choose another folder\n"
    assert done.stderr == sentence
    assert done.stdout == ""


def test_a_folder_that_this_user_may_not_write_is_one_sentence(config, monkeypatch):
    def fail(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "mkdir", fail)
    with pytest.raises(UserError) as error:
        open_root(config).__enter__()
    assert (error.value.failure.value, error.value.failure.cause) == (config.root, "Permission denied")


def test_a_root_that_is_a_file_is_one_sentence(config):
    pathlib.Path(config.root).touch()
    with pytest.raises(UserError) as error:
        open_root(config).__enter__()
    assert str(error.value) == f"--root {config.root} cannot be written: Not a directory. Choose another folder"
