"""Loads TensorFlow Probability, which is lazy, before a test module imports TensorFlow Transform.

Transform's import sets TF_USE_LEGACY_KERAS, after which tf.keras is Keras 2 and Probability fails to load.
"""

import tensorflow_probability as tfp

assert tfp.bijectors.MaskedAutoregressiveFlow
assert tfp.distributions.TransformedDistribution
