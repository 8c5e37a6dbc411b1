"""The process of an attempt, as its supervisor sees its end."""

import os
import signal
import threading
import time
import types

import pytest

from kubeflow.node import process
from trainer.failure import Failure, Kind

BAD = Failure(Kind.BAD_INPUT, "no such data set", value="x")


@pytest.fixture
def task(tmp_path):
    return types.SimpleNamespace(name="train", error_file=str(tmp_path / "error.json"), log_file="/logs/train.log")


@pytest.fixture
def end(task, monkeypatch):
    """Runs a program in place of the attempt; returns its failure."""

    def run(program, *arguments):
        monkeypatch.setattr(process, "ATTEMPT", ("-c", program))
        return process.run_process(task, list(arguments))

    return run


def test_a_process_that_ends_well_has_no_failure(end):
    assert end("") is None


def test_the_failure_is_what_the_process_left(end, task):
    program = "import sys; open(sys.argv[1], 'w').write(sys.argv[2]); sys.exit(2)"
    assert end(program, task.error_file, BAD.to_json()) == BAD


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        ("raise SystemExit(1)", "ended with exit code 1"),
    ],
)
def test_an_end_without_words_may_pass(end, program, how):
    failure = end(program)
    assert (failure.kind, failure.sentence) == (Kind.INFRASTRUCTURE, f"the task's process {how}")
    assert "/logs/train.log" in failure.remedy


def test_the_kernels_count_tells_a_want_of_memory_from_another_kill(end, tmp_path, monkeypatch):
    events = tmp_path / "memory.events"
    events.write_text("low 0\nmax 7\noom 1\noom_kill 1\n")
    monkeypatch.setattr(process, "MEMORY_EVENTS", str(events))
    killed = "import os, signal, sys; {}; os.kill(os.getpid(), signal.SIGKILL)"
    assert "SIGKILL" in end(killed.format("pass")).sentence
    failure = end(killed.format(f"open({str(events)!r}, 'w').write('oom_kill 2')"))
    assert failure.kind == Kind.INFRASTRUCTURE
    assert str(failure) == (
        "the task's process used more memory than its pod may. Raise memory_limit of tasks.train in cluster.yaml"
    )


def test_signals_reach_the_process_as_one_sigterm(end, tmp_path):
    """Whose handler saves, and is not disturbed."""
    came, ready = tmp_path / "came", tmp_path / "ready"
    program = f"""
import pathlib, signal, time
def note(*_):
    with open({str(came)!r}, "a") as file:
        file.write("x")
signal.signal(signal.SIGTERM, note)
pathlib.Path({str(ready)!r}).touch()
time.sleep(0.5)
time.sleep(0.5)
raise SystemExit(143)
"""

    def tell():
        while not ready.exists():
            time.sleep(0.01)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            time.sleep(0.1)

    threading.Thread(target=tell).start()
    failure = end(program)
    assert (failure.kind, failure.value) == (Kind.STOPPED, "SIGTERM")
    assert came.read_text() == "x"
