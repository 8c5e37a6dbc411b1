"""Files that are whole or absent, carry digests, and survive a loss of power."""
