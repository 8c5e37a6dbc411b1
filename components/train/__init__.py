"""Entry points of TFX into training and tuning, and the code fingerprint in cache keys."""
