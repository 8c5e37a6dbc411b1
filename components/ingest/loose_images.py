"""Reads image files that are named one by one, by the rules of ingestion."""

import contextlib
import itertools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from components.ingest.decoding import FORMATS, decoded
from components.ingest.findings import digest_of
from components.ingest.fitting import fitted
from components.ingest.image_folder import ImageFolder
from components.ingest.prepared import Shard
from components.ingest.records import Batch
from trainer.errors import UserError
from trainer.shape import Shape


class LooseImages(NamedTuple):
    """Sound images of one shape."""

    names: list[str]  # paths as given, of length B
    encoded: np.ndarray  # [B] object, as stored, or as PNG if it was resized
    pixels: np.ndarray  # [B, *shape] uint8

    @property
    def digests(self) -> list[str]:
        """The digest of each image's pixels, by which ingestion finds equal images."""
        return [digest_of(pixels.data).hex() for pixels in self.pixels]


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
    remaining = iter(paths)
    while names := list(itertools.islice(remaining, at_once)):
        contents = np.array([_content(name) for name in names], dtype=object)
        batch = Batch(0, contents, [None] * len(names), [os.fsencode(name) for name in names])
        shard = Shard("", ImageFolder.KIND, len(names), tuple(names))
        images, faults = decoded(fitted(batch, shape) if fit else batch, shard, shape)
        if faults:
            remedy = f"Name PNG, JPEG, WebP or BMP files of {shape}, or crop and resize them with --fit"
            raise UserError(faults[0].text, value=names, remedy=remedy)
        yield LooseImages(names, images.encoded, images.pixels)


_given: dict[str, bytes] = {}  # contents of files that are not on this machine


@contextlib.contextmanager
def given(contents: Mapping[str, bytes]) -> Iterator[None]:
    """Takes for the block the contents of the files of these names from memory."""
    _given.update(contents)
    try:
        yield
    finally:
        _given.clear()


def _content(name: str) -> bytes:
    if name in _given:
        return _given[name]
    try:
        return pathlib.Path(name).read_bytes()
    except OSError as error:
        raise UserError(f"the image {name} cannot be read", value=name, valid=FORMATS, cause=error) from error
