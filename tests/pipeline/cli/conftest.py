"""The command line, run on the state directory `pushed`."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from pipeline import cli
from toy_data import png
from trainer.shape import Shape

SHAPE = Shape(8, 6, 3)


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
def vaeiaf(pushed, capfd) -> Callable[..., Ran]:
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
