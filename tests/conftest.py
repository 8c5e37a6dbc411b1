"""Imports TensorFlow Probability before a test module imports TensorFlow Transform.

Transform's import sets TF_USE_LEGACY_KERAS, after which tf.keras is Keras 2 and Probability fails to import.
"""

import tensorflow_probability  # noqa: F401
