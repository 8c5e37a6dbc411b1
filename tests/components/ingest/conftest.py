"""A small prepared data set, written once and copied for each test; a network that is away."""

import shutil

import pytest

from toy_data import rows, write_toy


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"), rows("train", 5, 0), rows("test", 5, 100))


@pytest.fixture
def toy(written, tmp_path):
    """The folder of a prepared data set of five images in each split, `toy`, below `tmp_path`."""
    return shutil.copytree(written, tmp_path / "data") / "toy/1.0.0"


@pytest.fixture
def unreachable(monkeypatch):
    """No network, whatever the machine has: a proxy that refuses at once."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
