"""The best and the worst images of an evaluation by their ELBO. Imports neither Beam nor TFMA."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

KEPT = 5  # images of each end


class ImageELBO(NamedTuple):
    """The ELBO of an image and its parts. The order of these tuples is that of their ELBO."""

    elbo: float  # nats; -inf for NaN, which has no order
    fingerprint: int  # made from the image's id and bytes
    reconstruction: float  # nats
    kl: float  # nats


class Extremes(NamedTuple):
    """Images of both ends, disjoint."""

    best: tuple[ImageELBO, ...] = ()  # the best one first
    worst: tuple[ImageELBO, ...] = ()  # the worst one first

    def to_json(self) -> bytes:
        """Returns the fields as JSON."""
        return json.dumps(self).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Extremes":
        """Undoes `to_json`."""
        return cls(*(tuple(ImageELBO(*image) for image in images) for images in json.loads(text)))


def image_elbo(outputs: Mapping[str, np.ndarray]) -> ImageELBO:
    """Returns the numbers of one image from the outputs of the signature `evaluate`, [1] each."""
    elbo, reconstruction, kl = (float(np.ravel(outputs[name])[0]) for name in ("elbo", "reconstruction", "kl"))
    fingerprint = int(np.ravel(outputs["fingerprint"])[0])
    return ImageELBO(-math.inf if math.isnan(elbo) else elbo, fingerprint, reconstruction, kl)


def outermost(images: Iterable[ImageELBO]) -> list[ImageELBO]:
    """Returns the `KEPT` images of each end in ascending order. It absorbs itself: parts of images may come first.

    outermost(outermost(a) + b) = outermost(a + b)
    """
    ordered = sorted(images)
    return ordered if len(ordered) <= 2 * KEPT else ordered[:KEPT] + ordered[-KEPT:]


def extremes(images: Iterable[ImageELBO]) -> Extremes:
    """Returns both ends of `images`; of fewer than 2 `KEPT` images, each is at the end that it is nearer to."""
    ordered = outermost(images)
    worst = min(KEPT, len(ordered) // 2)
    return Extremes(best=tuple(ordered[: -KEPT - 1 : -1][: len(ordered) - worst]), worst=tuple(ordered[:worst]))
