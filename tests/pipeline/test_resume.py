"""`vaeiaf run` killed, stopped, on workers, on a full disk: the next run goes on, and one model is pushed or none."""

import shutil
import signal
import subprocess
import sys

import pytest

import trainer.training.loop
from components.gate.serving import versions as pushed_versions
from pipeline import cli, words

pytestmark = pytest.mark.slow

RUN = ["run", "--dataset=photo_patches", "--preset=smoke", "--epochs=2", "--checkpoint-minutes=0"]
TINY = ["--set=hidden_size=8", "--set=latent_size=2", "--set=iaf_steps=0"]

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
    """What is kept of trainings under way."""
    return list((root / "training" / "vaeiaf-photo-patches").iterdir())


def test_a_run_that_is_killed_and_stopped_goes_on_and_two_workers_push_one_model(tmp_path, monkeypatch, capfd):
    def run(*arguments):
        capfd.readouterr()
        code = cli.main([*RUN, *TINY, f"--root={tmp_path}", *arguments])
        captured = capfd.readouterr()
        assert captured.err == ""
        assert "Traceback" not in captured.out
        return code, captured.out

    killed = subprocess.run([sys.executable, "-c", KILLED, *RUN, *TINY, f"--root={tmp_path}"])
    assert killed.returncode == -signal.SIGKILL
    assert models(tmp_path) == []
    (state,) = states(tmp_path)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.training.loop, "TrainStep", Stopped)
        code, console = run()
    assert code == 128 + signal.SIGTERM, console
    assert f"  resuming after step 32 of 178 from {state}/step-000000032\n" in console
    assert "  stopped after step 64; the next start resumes there\n" in console
    sentence = "vaeiaf: interrupted by SIGTERM. The next run resumes after the last finished component or checkpoint\n"
    assert sentence in console
    assert models(tmp_path) == []
    assert states(tmp_path) == [state]

    code, console = run("--workers=2")
    assert code == words.PUSHED, console
    assert f"  resuming after step 64 of 178 from {state}/step-000000064\n" in console
    assert models(tmp_path) == ["Format-Serving"]
    assert states(tmp_path) == []
    assert len(pushed_versions(str(tmp_path / "pushed/vaeiaf-photo-patches"))) == 1


def test_a_full_disk_is_one_sentence_and_leaves_no_half_artifact(tmp_path):
    """On a real one, with room for the data set and not for the examples of it."""
    mount = 'mount -t tmpfs -o size=14m tmpfs "$0" && '
    shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*shell, mount + "true", str(tmp_path)]).returncode:
        pytest.skip("no file systems of one's own here")
    script = mount + '"$@"; echo "exit code $?"; echo "artifacts: $(find "$0/artifacts" -type f)"'
    command = [sys.executable, "-m", "pipeline", *RUN, f"--root={tmp_path}"]
    done = subprocess.run([*shell, script, str(tmp_path), *command], capture_output=True, text=True)
    assert done.stderr == ""
    *_, sentence, log, code, artifacts = done.stdout.splitlines()
    assert sentence.startswith(f"vaeiaf: no space is left on the disk of {tmp_path}")
    assert log.startswith("Log: ")
    assert code == "exit code 1"
    assert artifacts == "artifacts: "
