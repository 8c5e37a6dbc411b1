"""The benchmark reads consoles and processes, and the sections `startup` and `tasks` turn them into rows."""

import pytest

from tests.bench import startup, tasks
from tests.bench.process import Finished, run_module
from tests.bench.startup import first_step_seconds

CONSOLE = """ImageExampleGen          0.9 s
Trainer
  training on 5,700 images, 300 held out, 1,000 test; batch 64, 89 steps an epoch, 1,000 parameters
  epoch 1/2  test ELBO -1.00 = reconstruction -0.50 - KL 0.50  held-out -1.00  1000 images/s  5.5 s
  epoch 2/2  test ELBO -1.00 = reconstruction -0.50 - KL 0.50  held-out -1.00  2000 images/s  3.0 s
                        12.3 s"""


def test_the_first_step_ends_when_it_is_traced_and_compiled():
    assert first_step_seconds(list(enumerate(CONSOLE.splitlines()))) == 2 + 5.5 - 3.0


def test_a_process_is_measured_without_the_one_that_starts_it():
    finished = run_module("this")
    assert finished.lines[0][1] == "The Zen of Python, by Tim Peters"
    assert 0.0 < finished.lines[0][0] <= finished.seconds + 1.0
    assert 1.0 < finished.peak_mb < 100.0, "this process has TensorFlow in it, and is far larger"


@pytest.fixture
def commands(monkeypatch):
    """Fakes the commands of the section except --help: a pipeline takes a minute."""
    called = []

    def run(*command):
        called.append(command)
        if command[1] == "--help":
            return run_module(*command)
        return Finished(40.0, 50.0, 900.0, list(enumerate(CONSOLE.splitlines())))

    monkeypatch.setattr(startup, "run_module", run)
    monkeypatch.setattr(startup, "trained", lambda images: Finished(30.0, 35.0, 800.0, []))
    monkeypatch.setattr(startup, "HELPS", 1)
    return called


@pytest.mark.parametrize("has_cifar10", [False, True])
def test_the_start_of_a_run_and_its_rerun_are_rows(has_cifar10, commands, monkeypatch, capsys):
    monkeypatch.setattr(startup, "HAS_CIFAR10", has_cifar10)
    rows = {row.name: row.more for row in startup.rows()}
    pairs = [command for command in commands if command[1] == "run"]
    assert pairs[::2] == pairs[1::2], "the same again, in the same folder"
    assert rows["vaeiaf --help"]["seconds"] > 0.0
    assert rows["embedded data: to the first training step"] == {"seconds": 4.5}
    assert rows["embedded data: cached rerun"] == {"seconds": 40.0, "cpu_seconds": 50.0}
    assert ("left out: TFDS_DATA_DIR has no cifar10" in capsys.readouterr().out) != has_cifar10
    full = {name: more for name, more in rows.items() if name.startswith("CIFAR-10")}
    assert (len(full), len(pairs)) == ((4, 4) if has_cifar10 else (0, 2))
    if has_cifar10:
        assert full["CIFAR-10: what the pipeline adds"] == {"cpu_seconds": 50.0 - 35.0}


def test_the_pods_of_a_run_are_added_up(monkeypatch):
    started = []

    def run(*command):
        started.append(command[2])
        return Finished(2.0, 3.0, 100.0 + len(started), [])

    monkeypatch.setattr(tasks, "run_module", run)
    rows = {row.name: row.more for row in tasks.rows()}
    assert started[:9] == ["ingest", "train", "gate"] * 3
    assert started[9:11] == ["ImageExampleGen", "StatisticsGen"]
    assert rows["first run, task train"] == {"seconds": 2.0, "cpu_seconds": 3.0, "peak_mb": 102.0}
    assert rows["unchanged run, 3 tasks"] == {"seconds": 6.0, "cpu_seconds": 9.0, "peak_mb": 109.0}
    assert rows["unchanged run, 13 tasks of a node each"]["cpu_seconds"] == 39.0
