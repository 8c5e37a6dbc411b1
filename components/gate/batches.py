"""Batches of few sizes for the models that TFMA evaluates.

TensorFlow's oneDNN keeps a megabyte for each size of a batch that a small model has seen, and Beam chooses any size up
to 1,000.
"""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma

LARGEST = 128  # images; bounds the memory of one call, and larger ones take as long for an image


def extractors(**arguments: Any) -> list[tfma.extractors.Extractor]:
    """Returns TFMA's extractors after one that divides each batch. TFX calls it."""
    divide = tfma.extractors.Extractor("DivideBatches", beam.FlatMap(divided))
    return [divide, *tfma.default_extractors(**arguments)]


def divided(extracts: tfma.Extracts) -> Iterator[tfma.Extracts]:
    """Yields the batch in parts whose sizes are powers of two."""
    batch, start = extracts[tfma.ARROW_RECORD_BATCH_KEY], 0
    while left := batch.num_rows - start:
        size = min(LARGEST, 2 ** (left.bit_length() - 1))
        yield {**extracts, tfma.ARROW_RECORD_BATCH_KEY: batch.slice(start, size)}
        start += size
