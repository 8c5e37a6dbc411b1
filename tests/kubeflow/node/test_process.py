"""The process of an attempt, as its supervisor sees its end."""

import os
import signal
import threading
import time
import types

import pytest

from kubeflow.node import memory, process
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


@pytest.fixture
def group(tmp_path, monkeypatch):
    """The container's control group, with a limit of 1 GiB."""
    monkeypatch.setattr(memory, "FOLDER", tmp_path)
    (tmp_path / "memory.max").write_text(f"{2**30}\n")
    (tmp_path / "memory.current").write_text(f"{2**30}\n")  # most of which are pages of files
    (tmp_path / "memory.stat").write_text(f"anon 0\nactive_file {2**28}\ninactive_file {2**28}\nshmem 0\n")
    return tmp_path


def test_a_process_that_nears_the_limit_is_killed_before_the_kernel_kills_all(end, group):
    program = f"import time; open({str(group / 'memory.stat')!r}, 'w').write('active_file 0\\ninactive_file 9'); "
    failure = end(program + "time.sleep(60)")
    assert failure.sentence == "the task's process used more memory than its pod may"


def test_pages_of_files_and_a_group_without_a_limit_are_no_want_of_memory(end, group):
    assert end("import time; time.sleep(0.3)") is None
    (group / "memory.max").write_text("max\n")
    (group / "memory.stat").write_text("active_file 0\ninactive_file 0\n")
    assert end("import time; time.sleep(0.3)") is None


def test_the_kernels_count_tells_a_want_of_memory_from_another_kill(end, group):
    events = group / "memory.events"
    events.write_text("low 0\nmax 7\noom 1\noom_kill 1\n")
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
