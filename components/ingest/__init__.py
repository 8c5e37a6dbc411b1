"""From a prepared TFDS data set to validated Examples."""
