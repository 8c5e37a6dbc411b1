"""TFX's entry points into training and tuning, and the code fingerprint behind the cache."""
