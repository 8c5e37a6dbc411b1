"""`vaeiaf run` killed, stopped, on workers, on a full disk: the next run goes on, and one model is pushed or none."""

import shutil
import signal
import subprocess
import sys

import pytest

import trainer.training.loop
from trainer import exit_codes

pytestmark = pytest.mark.slow

TRAINING = ["--epochs=2", "--batch-size=4", "--checkpoint-minutes=0"]  # calls of 16, 16 and 15 steps an epoch

KILLED = """
import os, signal, sys
import trainer.training.loop
from pipeline.cli import main

class Killed(trainer.training.loop.TrainStep):
    def __call__(self, pixels, rows, first, stop=False):
        if first >= 32:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(pixels, rows, first, stop)

trainer.training.loop.TrainStep = Killed
main(sys.argv[1:])
"""


class Stopped(trainer.training.loop.TrainStep):
    """Takes its first steps while a scheduler asks for the machine back."""

    def __call__(self, pixels, rows, first, stop=False):
        signal.raise_signal(signal.SIGTERM)
        return super().__call__(pixels, rows, first, stop)


def models(root):
    """What of a model is in the folders of the Trainer's artifacts."""
    return [path.name for path in root.glob("artifacts/*/Trainer/model/*/*")]


def states(root):
    """What is kept of trainings that have not ended."""
    return list((root / "training" / "vaeiaf-toy").iterdir())


def test_a_run_that_is_killed_and_stopped_resumes_and_two_workers_push_one_model(series, monkeypatch):
    series.ingest()
    killed = subprocess.run([sys.executable, "-c", KILLED, "run", *series.options(*TRAINING)])
    assert killed.returncode == -signal.SIGKILL
    assert models(series.root) == []
    (state,) = states(series.root)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.training.loop, "TrainStep", Stopped)
        code, console = series.run(*TRAINING)
    assert code == 128 + signal.SIGTERM, console
    assert f"  resuming after step 32 of 94 from {state}/step-000000032\n" in console
    assert "  stopped after step 63; the next start resumes there\n" in console
    sentence = "vaeiaf: interrupted by SIGTERM. The next run resumes after the last finished component or checkpoint\n"
    assert sentence in console
    data = "ImageExampleGen, Schema, StatisticsGen, StrictExampleValidator, Transform"
    assert f"Kept: {data}, the checkpoint of step 63. The same command resumes from there\n" in console
    assert models(series.root) == []
    assert states(series.root) == [state]

    code, console = series.run(*TRAINING, "--workers=2")
    assert code == exit_codes.DONE, console
    assert f"  resuming after step 63 of 94 from {state}/step-000000063\n" in console
    assert models(series.root) == ["Format-Serving"]
    assert states(series.root) == []
    assert len(series.versions()) == 1


def test_a_full_disk_is_one_sentence_and_leaves_no_half_artifact(tmp_path):
    """On a real one, with room for the data set and not for the examples of it."""
    mount = 'mount -t tmpfs -o size=14m tmpfs "$0" && '
    shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*shell, mount + "true", str(tmp_path)]).returncode:
        pytest.skip("no file systems of one's own here")
    script = mount + '"$@"; echo "exit code $?"; echo "artifacts: $(find "$0/artifacts" -type f)"'
    command = [sys.executable, "-m", "pipeline", "run", "--dataset=photo_patches", f"--root={tmp_path}"]
    done = subprocess.run([*shell, script, str(tmp_path), *command], capture_output=True, text=True)
    assert done.stderr == ""
    *_, sentence, log, code, artifacts = done.stdout.splitlines()
    assert sentence.startswith(f"vaeiaf: no space is left on the disk of {tmp_path}")
    assert log.startswith("Log: ")
    assert code == "exit code 1"
    assert artifacts == "artifacts: "
