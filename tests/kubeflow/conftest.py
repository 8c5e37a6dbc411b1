"""Kubeflow Pipelines, emulated, and the command line that talks to it."""

import os
import sys
import types

import databases
import pytest
import yaml
from kfp_emulator import Emulator

from kubeflow.client.api import connect
from kubeflow.spec.parameters import parameters
from pipeline.cli import main, parser
from trainer.errors import ReportedError

NODES = ("image-example-gen", "trainer", "verdict")
KINDS = {str: "STRING", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE", bool: "BOOLEAN", dict: "STRUCT"}


@pytest.fixture
def clock(monkeypatch):
    """The pauses that were made, in seconds; none of them takes any time."""
    pauses = []
    for module in ("kubeflow.client.api", "kubeflow.client.follow"):
        monkeypatch.setattr(f"{module}.time", types.SimpleNamespace(sleep=pauses.append))
    return pauses


@pytest.fixture
def kfp(clock, monkeypatch, tmp_path):
    """The server; its pipeline has the parameters of a run, and three nodes."""
    for name in [name for name in os.environ if name.startswith("KF_PIPELINES_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VAEIAF_REVISION", "v1")
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "none.json"))
    monkeypatch.setitem(sys.modules, "kubeflow.spec.compile", types.SimpleNamespace(compile_to=compile_to))
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def api(kfp):
    """The client's end of a connection to the server."""
    return connect("team", kfp.host)


@pytest.fixture
def cluster_file(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("image: vaeiaf:1\nnamespace: team\nvolume: {claim: vaeiaf}\n")
    return path


@pytest.fixture
def vaeiaf(kfp, cluster_file, capsys):
    """Runs a command: its exit code, what it printed, and what it complained of."""

    def run(command, *arguments):
        code = main([command, "--cluster", str(cluster_file), "--host", kfp.host, *arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return code, printed.out, printed.err

    return run


@pytest.fixture
def refused(kfp, cluster_file):
    """Runs a command that cannot be done: its error."""

    def run(command, *arguments):
        options = parser().parse_args([command, "--cluster", str(cluster_file), "--host", kfp.host, *arguments])
        with pytest.raises(ReportedError) as error:
            options.run(options)
        return error.value

    return run


@pytest.fixture
def full_server():
    """The port of a database server that has too many connections."""
    with databases.full_server() as port:
        yield port


def compile_to(path, cluster):
    """A package as KFP's compiler would make it, as far as the server looks into it."""
    form = {name: {"parameterType": KINDS[found.kind], "isOptional": True} for name, found in parameters().items()}
    if cluster.drop_downs:
        form["preset"]["literals"] = list(parameters()["preset"].choices)
    tasks = {name: {"componentRef": {"name": f"comp-{name}"}, "taskInfo": {"name": name}} for name in NODES}
    spec = {
        "pipelineInfo": {"name": "vaeiaf"},
        "schemaVersion": "2.1.0",
        "root": {"dag": {"tasks": tasks}, "inputDefinitions": {"parameters": form}},
        "deploymentSpec": {"image": cluster.image},
    }
    with open(path, "w") as file:
        yaml.safe_dump_all([spec, {"platforms": {"kubernetes": {}}}], file)
