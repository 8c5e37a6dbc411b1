"""Ingestion: a TFDS data set becomes validated Examples."""
