"""A cluster for the launcher of pods."""

import pytest
from kube_world import World, wait_until


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A cluster that must be empty at the end."""
    world = World(tmp_path, monkeypatch)
    world.kube.start()
    yield world
    wait_until(lambda: not world.left(), what=lambda: f"left: {world.left()}")
    world.kube.stop()


@pytest.fixture
def said(caplog):
    """The lines that the launcher of pods has logged."""
    caplog.set_level("INFO", "kubeflow")
    return lambda: [record.getMessage() for record in caplog.records]
