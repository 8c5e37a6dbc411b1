"""The Kubeflow SDK, which owns the name `kubeflow` too, installed where Python finds it first."""

import os
import pathlib
import subprocess
import sys

import pytest

import pipeline

ON_KUBEFLOW = ("compile", "schedule", "schema", "submit")
HOME = pathlib.Path(pipeline.__file__).parents[1]


@pytest.fixture
def vaeiaf(tmp_path):
    """Runs the command line with a package of the SDK's shape first on the path."""
    for name in ("", "trainer", "pipelines", "common", "hub", "optimizer", "spark"):
        (tmp_path / "kubeflow" / name).mkdir()
        (tmp_path / "kubeflow" / name / "__init__.py").write_text('__version__ = "0.5.0"\n')
    path = os.pathsep.join([str(tmp_path), str(HOME)])

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-P", "-m", "pipeline", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
        )

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", "--cluster", "cluster.yaml"),
        ("submit", "--cluster=cluster.yaml", "--wait", "--param", "epochs=3"),
        ("schedule", "--help"),
        ("doctor", "--cluster=cluster.yaml"),
    ],
)
def test_a_command_that_needs_our_package_says_so(arguments, vaeiaf, tmp_path):
    done = vaeiaf(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("vaeiaf: this command needs vaeiaf's package kubeflow, and Python finds another one, ")
    assert f"{tmp_path}/kubeflow. Uninstall that (pip uninstall kubeflow)" in line


def test_the_other_commands_work(vaeiaf):
    assert vaeiaf("run", "--help").stdout.startswith("usage: vaeiaf run")
    assert "versions: Python 3.11" in vaeiaf("doctor").stdout
    done = vaeiaf("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("run", "verify", *ON_KUBEFLOW))
    done = vaeiaf("run", "--epochs=0")
    assert done.returncode == 2
    assert done.stderr == "vaeiaf: epochs: expected greater than or equal to 1, got 0\n"
