"""The world of the checks: the cluster that VAEIAF_CLUSTER names (`make test-cluster`), or the emulated one."""

import os
import pathlib

import pytest
from emulated import Emulated
from real import Real
from runs import Runs


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The cluster, with the manifests applied."""
    file, *where = (os.environ.get(f"VAEIAF_{name}", "") for name in ("CLUSTER", "HOST", "UI", "MANIFESTS"))
    made = Real(pathlib.Path(file), *where) if file else Emulated(tmp_path_factory.mktemp("world"))
    try:
        made.apply()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def runs(world):
    """Runs of the pipeline of this checkout."""
    made = Runs(world)
    yield made
    made.close()


@pytest.fixture
def needs(world):
    """Skips a check that this world cannot make."""

    def skip(what):
        if what in world.lacks:
            pytest.skip(f"not in this world: {world.lacks[what]}")

    return skip
