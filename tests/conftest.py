"""Orders the test files, forks programs, and loads TensorFlow Probability, which is lazy, before TensorFlow Transform.

Transform's import sets TF_USE_LEGACY_KERAS, after which tf.keras is Keras 2 and Probability fails to load.
"""

import functools

import pytest
import tensorflow_probability as tfp

from forked import Forks
from legible import faults
from scripts.docs.browser import BROWSERS, find_browser, started

assert tfp.bijectors.MaskedAutoregressiveFlow
assert tfp.distributions.TransformedDistribution


def pytest_collection_modifyitems(items):
    """Puts files with slow tests first, so that no process starts a long file when the others have nothing left."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def run_forked():
    """Runs a Python program in a process that is forked; returns its exit code and its output."""
    forks = Forks()
    yield forks.run
    forks.close()


@pytest.fixture(scope="session")
def browser():
    """A browser without a window."""
    if find_browser() is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed, which opens the pages")
    with started() as one:
        yield one


@pytest.fixture(scope="session")
def faults_of(browser):
    """Returns what keeps the page at a path from being read, on a phone, on a desk, in the dark and in print."""
    return functools.partial(faults, browser=browser)
