"""Orders the test files, forks programs, and loads TensorFlow Probability, which is lazy, before TensorFlow Transform.

Transform's import sets TF_USE_LEGACY_KERAS, after which tf.keras is Keras 2 and Probability fails to load.
"""

import pytest
import tensorflow_probability as tfp

from forked import Forks

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
