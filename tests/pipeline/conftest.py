"""Runs of the pipeline, and a state directory with small models, without a training."""

import json
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from exported import push
from own_data import write_files
from pipeline import cli
from pipeline.local import launch_node, plan, site_of
from pipeline.settings import PipelineConfig
from pipeline.state.database import sqlite_connection
from pipeline.state.metadata import Metadata
from series import Series, gradients
from toy_data import png, write_toy
from trainer.shape import Shape

SHAPE = Shape(8, 6, 3)
OLD, NEW = 100, 200  # versions


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """The folder of a prepared data set of 200 and 50 images."""
    return write_toy(tmp_path_factory.mktemp("toy"), gradients("train", 200, 0), gradients("test", 50, 1000))


@pytest.fixture
def series(tmp_path, toy, capfd):
    return Series(tmp_path / "root", toy, capfd)


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> str:
    """A folder of images with two labels: 12 to train on and 26 to test."""
    files = {
        f"{split}/{'cat' if i % 2 else 'dog'}/{i:02d}.png": png(first + i, SHAPE)
        for split, count, first in (("train", 12, 0), ("test", 26, 100))
        for i in range(count)
    }
    return write_files(tmp_path_factory.mktemp("data"), files)


@pytest.fixture(scope="session")
def pushed(tmp_path_factory, data) -> Any:
    """A state directory with Examples of `data` and the versions OLD and NEW; tests only read it."""
    root = tmp_path_factory.mktemp("pushed")
    for version in (OLD, NEW):
        push(root / "pushed/vaeiaf-toy", version, SHAPE)
    _ingest(PipelineConfig(data=data, root=str(root)))
    return root


def _ingest(config: PipelineConfig) -> None:
    pipeline = plan(config, "run", site_of(config))
    (node,) = (one.pipeline_node for one in pipeline.nodes if one.pipeline_node.node_info.id == "ImageExampleGen")
    launch_node(pipeline, node, Metadata(sqlite_connection(config.metadata), config.root), config.training)


@pytest.fixture
def copied(pushed, tmp_path) -> Any:
    """A copy of `pushed`, which a test may damage."""
    return shutil.copytree(pushed, tmp_path / "copied")


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def facts(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.out)


@pytest.fixture
def call(pushed, capfd) -> Callable[..., Ran]:
    """Runs a command in `pushed`."""

    def run(command: str, *arguments: Any, root: Any = pushed) -> Ran:
        capfd.readouterr()
        code = cli.main([command, *map(str, arguments), f"--root={root}"])
        return Ran(code, *capfd.readouterr())

    return run


@pytest.fixture
def image(tmp_path) -> str:
    """A PNG of the models' shape."""
    path = tmp_path / "image.png"
    path.write_bytes(png(7, SHAPE))
    return str(path)
