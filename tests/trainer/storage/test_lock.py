"""One process at a time has a folder or a lock, on a disk that knows locks."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from trainer.errors import InterruptError
from trainer.interrupt import interruptible
from trainer.storage import lock
from trainer.storage.lock import BusyError, alone, locked


def test_whoever_is_alone_in_a_folder_keeps_others_out_until_the_end(tmp_path):
    folder = str(tmp_path)
    with alone(folder, "training", "--output"), pytest.raises(BusyError) as error, alone(folder, "run", "--root"):
        pass
    assert str(error.value) == f"another run is at work in {folder}: wait for its end, or choose another --root"
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
    assert record.getMessage() == f"{tmp_path} cannot be locked (No locks available): let no other run use it"


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


def test_a_lock_that_another_process_has_is_waited_for_until_it_dies(holder, caplog, monkeypatch):
    process, path = holder
    monkeypatch.setattr(lock, "SILENT_SECONDS", 0.1)
    caplog.set_level("INFO")
    threading.Timer(0.5, process.kill).start()
    with locked(path, "push"):
        process.wait(20.0)  # it is gone, or about to be
    (record,) = caplog.records
    assert record.getMessage() == f"waiting for another push, which holds {path}"


def test_a_signal_ends_the_wait_for_a_lock(holder):
    _, path = holder
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGTERM]).start()
    start = time.monotonic()
    with pytest.raises(InterruptError), interruptible(), locked(path, "push"):
        pass
    assert time.monotonic() - start < 20.0


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
    assert record.getMessage() == f"{tmp_path}/lock cannot be locked (No locks available): let no other push use it"
