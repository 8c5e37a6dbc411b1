"""One process at a time holds a folder or a lock, if the disk supports locks."""

import errno
import fcntl
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from trainer.errors import InterruptError
from trainer.interrupt import interruptible
from trainer.storage import lock
from trainer.storage.lock import BusyError, alone, locked


def test_whoever_is_alone_in_a_folder_keeps_others_out_until_the_end(tmp_path):
    folder = str(tmp_path)
    with alone(folder, "training", "--output"), pytest.raises(BusyError) as error, alone(folder, "run", "--root"):
        pass
    assert error.value.failure.value == folder
    assert error.value.exit_code == 1, "a scheduler may try again: the other one may end"
    with alone(folder, "training", "--output"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EIO])
def test_a_disk_without_locks_is_used_with_a_warning(number, tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with alone(str(tmp_path), "run", "--root"):
        pass
    (record,) = caplog.records
    assert record.args == (str(tmp_path), "No locks available", "run")


def test_a_folder_that_cannot_be_written_is_the_callers_to_explain(tmp_path):
    with pytest.raises(FileNotFoundError), alone(str(tmp_path / "none"), "run", "--root"):
        pass


HOLDER = """
import sys, time
from trainer.storage.lock import locked
with locked(sys.argv[1], "push"):
    print("has it", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has the lock, and its path."""
    path = str(tmp_path / "lock")
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "has it\n"
        yield process, path
        process.kill()


@pytest.fixture
def at_the_third_try(monkeypatch):
    """Does something at the third try to get a lock, by a clock that each of them moves on by a second."""
    tries = []

    def start(action):
        def sleep(_):
            tries.append(0)
            if len(tries) == 3:
                action()

        monkeypatch.setattr(lock, "time", SimpleNamespace(monotonic=lambda: len(tries), sleep=sleep))

    return start


def test_a_lock_that_another_process_has_is_waited_for_until_it_dies(holder, caplog, at_the_third_try):
    process, path = holder
    caplog.set_level("INFO")
    at_the_third_try(lambda: (process.kill(), process.wait()))
    with locked(path, "push"):
        assert process.returncode == -signal.SIGKILL
    (record,) = caplog.records
    assert record.args == ("push", path)


def test_a_signal_ends_the_wait_for_a_lock(holder, at_the_third_try):
    _, path = holder
    at_the_third_try(lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(InterruptError), interruptible(), locked(path, "push"):
        pass


def test_a_lock_that_nobody_has_is_got_at_once_and_given_back(tmp_path, caplog):
    caplog.set_level("INFO")
    for _ in range(2):
        with locked(str(tmp_path / "lock"), "push"):
            assert (tmp_path / "lock").exists()
    assert not caplog.records


def test_without_locks_nobody_is_waited_for(tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with locked(str(tmp_path / "lock"), "push"):
        pass
    (record,) = caplog.records
    assert record.args == (f"{tmp_path}/lock", "No locks available", "push")
