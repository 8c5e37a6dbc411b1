"""The parts of a cluster as containers: the image, its network, its volume and its database."""

import contextlib
import io
import os
import pathlib
import re
import subprocess
import sys
import uuid
from typing import NamedTuple

import docker
import pytest
from kfp import components, local

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.compile import compile_to

IMAGE = os.environ["VAEIAF_IMAGE"]
PASSWORD = uuid.uuid4().hex
MOUNT = "/mnt/vaeiaf"
DATABASE = "vaeiaf-test-database"  # name of an image


class Run(NamedTuple):
    """The results of a run on KFP's local runner."""

    failed: str  # the runner's error; empty if the run succeeded
    console: str  # of all its containers, in order
    outputs: pathlib.Path  # folder with its Kubeflow artifacts, by task
    id: str  # empty if it failed earlier

    def task(self, name):
        """What the container of this task said."""
        parts = re.split(r"(?=^[-:\d ]*Run \S+, task )", self.console, flags=re.MULTILINE)
        return next(part for part in parts if f", task {name}: " in part)


@pytest.fixture(scope="session")
def engine():
    with contextlib.closing(docker.from_env()) as client:
        yield client


@pytest.fixture(scope="session", autouse=True)
def image(engine):
    return engine.images.get(IMAGE)


@pytest.fixture(scope="session")
def network(engine):
    made = engine.networks.create(f"vaeiaf-test-{uuid.uuid4().hex[:8]}")
    yield made.name
    made.remove()


@pytest.fixture(scope="session")
def database(engine, network):
    """Starts MariaDB in a container."""
    folder = pathlib.Path(__file__).parent
    subprocess.run(  # Debian's Docker Engine lacks BuildKit
        f"docker build --quiet --network=host --tag={DATABASE} --file={folder}/database.Dockerfile {folder}".split(),
        env=os.environ | {"DOCKER_BUILDKIT": "0"},
        check=True,
    )
    container = engine.containers.run(
        DATABASE,
        detach=True,
        network=network,
        name=f"{network}-mlmd",
        environment={"MLMD_PASSWORD": PASSWORD},
    )
    container.reload()
    yield container
    container.remove(force=True)


@pytest.fixture(scope="session")
def volume(tmp_path_factory):
    """Makes the folder that stands in for the PersistentVolumeClaim; another user writes to it, as on a cluster."""
    folder = tmp_path_factory.mktemp("volume")
    folder.chmod(0o777)
    for parent in folder.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o755)
    return folder


@pytest.fixture(scope="session")
def cluster(database):
    return Cluster(
        image=IMAGE,
        namespace="test",
        volume={"claim": "vaeiaf", "path": MOUNT},
        database={"host": database.name, "wait_seconds": 60},
    )


@pytest.fixture(scope="session")
def password():
    return PASSWORD


@pytest.fixture(scope="session")
def package(cluster, tmp_path_factory):
    """Compiles the pipeline."""
    path = tmp_path_factory.mktemp("package") / "vaeiaf.yaml"
    compile_to(str(path), cluster)
    return path


@pytest.fixture(scope="session")
def run(package, network, volume, tmp_path_factory):
    """Runs the compiled pipeline on KFP's local Docker runner with these parameters."""

    def start(environment=None, **parameters):
        outputs = tmp_path_factory.mktemp("outputs")
        outputs.chmod(0o777)
        pipeline = components.load_component_from_file(str(package))
        local.init(
            local.DockerRunner(
                network=network,
                environment={"MLMD_PASSWORD": PASSWORD, **(environment or {})},
                mounts=[docker.types.Mount(MOUNT, str(volume), type="bind")],
            ),
            pipeline_root=str(outputs),
        )
        console, failed = io.StringIO(), ""
        before = os.umask(0)  # the runner makes the folders, and the image's user writes to them
        try:
            with contextlib.redirect_stdout(Tee(sys.__stdout__, console)):
                pipeline(**parameters)
        except RuntimeError as error:
            failed = str(error)
        finally:
            os.umask(before)
        run_ids = re.findall(r"^[-:\d ]*Run (\S+), task", console.getvalue(), flags=re.MULTILINE)
        return Run(failed, console.getvalue(), next(outputs.iterdir(), outputs), run_ids[0] if run_ids else "")

    return start


class Tee(io.TextIOBase):
    """A stream that writes to several others."""

    def __init__(self, *streams):
        self.streams = streams

    def write(self, text):
        for stream in self.streams:
            stream.write(text)
        return len(text)

    def flush(self):
        for stream in self.streams:
            stream.flush()
