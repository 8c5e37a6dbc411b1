import signal
import subprocess
import sys

import pytest

from trainer import launch, worker


@pytest.mark.parametrize("arguments", [[], ["one", "two"]])
def test_a_worker_without_its_one_folder_ends_with_2_and_says_why(arguments, capsys):
    assert worker.main(arguments) == 2
    assert f"expected one argument, the folder of the workers' job, got {len(arguments)}" in capsys.readouterr().err


def test_a_worker_whose_folder_is_not_there_ends_with_2_and_says_why(tmp_path, capsys):
    assert worker.main([str(tmp_path / "nowhere")]) == 2
    assert "every worker has to see the same folder" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has to help")
def test_a_worker_whose_launcher_is_dead_dies_before_it_does_anything(monkeypatch):
    monkeypatch.setenv(launch.LAUNCHER, "999999999")
    done = subprocess.run([sys.executable, "-m", "trainer.worker"], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert done.stderr == b""
