"""Reads image files that are named one by one, by the rules of ingestion."""

import hashlib
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from components.ingest.decoding import FORMATS, decoded
from components.ingest.fitting import fitted
from components.ingest.image_folder import ImageFolder
from components.ingest.prepared import Shard
from components.ingest.records import Batch, Fault
from trainer.errors import UserError
from trainer.shape import Shape

DIGEST_BYTES = 16


class LooseImages(NamedTuple):
    """Sound images of one shape."""

    names: list[str]  # paths as given, of length B
    encoded: np.ndarray  # [B] object, as stored, or as PNG if it was resized
    pixels: np.ndarray  # [B, *shape] uint8

    @property
    def digests(self) -> list[str]:
        """A digest of each image's pixels, the one that ingestion tells equal images by."""
        return [digest(pixels).hex() for pixels in self.pixels]


def digest(pixels: np.ndarray) -> bytes:
    """Returns the digest by which ingestion tells equal images."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=DIGEST_BYTES).digest()


def loose_images(paths: Sequence[str], shape: Shape, fit: bool, at_once: int) -> Iterator[LooseImages]:
    """Yields the images of the files `paths` in batches.

    Args:
      paths: of image files.
      shape: that every image needs.
      fit: whether images of other shapes are cropped and resized.
      at_once: images in a batch.

    Raises:
      UserError: a file is missing, is no image, or has another shape.
    """
    remaining: Iterable[str] = iter(paths)
    while names := list(itertools.islice(remaining, at_once)):
        contents = np.array([_content(name) for name in names], dtype=object)
        batch = Batch(0, contents, None, [os.fsencode(name) for name in names])
        if fit:
            batch = fitted(batch, shape)
        found = list(decoded(batch, Shard("", ImageFolder.KIND, len(names), tuple(names)), shape))
        for name, fault in zip(names, found, strict=True):
            if isinstance(fault, Fault):
                remedy = f"Name PNG, JPEG, WebP or BMP files of {shape}, or crop and resize them with --fit"
                raise UserError(fault.text, value=name, remedy=remedy)
        yield LooseImages(names, batch.images, np.stack([item[1] for item in found if not isinstance(item, Fault)]))


def _content(name: str) -> bytes:
    try:
        return pathlib.Path(name).read_bytes()
    except OSError as error:
        raise UserError(f"the image {name} cannot be read", value=name, valid=FORMATS, cause=error) from error
