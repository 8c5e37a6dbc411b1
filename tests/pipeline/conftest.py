import pytest

from series import Series, gradients
from toy_data import write_toy


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """The folder of a prepared data set of 200 and 50 images."""
    return write_toy(tmp_path_factory.mktemp("toy"), gradients("train", 200, 0), gradients("test", 50, 1000))


@pytest.fixture
def series(tmp_path, toy, capfd):
    return Series(tmp_path / "root", toy, capfd)
