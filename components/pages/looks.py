"""The pictures of the report: what the model makes of test images, and of nothing."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from components.gate.extremes import Extremes, ImageELBO
from components.pages.interpolation import interpolation
from components.pages.pictures import first_images, image_grid, reconstructions, scale, shown
from trainer.exported import Exported
from trainer.images import EXAMPLE_FEATURES, examples_of

TEMPERATURES = (0.7, 0.85, 1.0)
COLUMNS = 10  # samples of each temperature
ENDS = 6  # of the interpolations, two each


class Picture(NamedTuple):
    """A picture as PNG."""

    name: str  # of its file, without the ending
    png: bytes
    alt: str


class Extreme(NamedTuple):
    """One of the best or worst test images."""

    id: str
    image: ImageELBO
    picture: Picture  # the image above its reconstruction


class Looks(NamedTuple):
    """The pictures of a model, some beside those of the served one."""

    rows: list[str]  # of `reconstructions`, from the top
    reconstructions: Picture
    samples: Picture  # a row for each of TEMPERATURES; each column has the same draws
    interpolation: Picture | None  # None for a model of an earlier version
    best: list[Extreme]  # the best one first
    worst: list[Extreme]  # the worst one first
    scale: str  # the sizes, if the images are larger than they are shown

    def pictures(self) -> Iterator[Picture]:
        """Yields every picture."""
        yield from (self.reconstructions, self.samples)
        if self.interpolation:
            yield self.interpolation
        yield from (extreme.picture for extreme in (*self.best, *self.worst))


def looks(model: Exported, served: Exported | None, splits: Sequence[str], extremes: Extremes) -> Looks:
    """Draws the pictures of `model`, with test images from the Examples in the folders `splits`."""
    encoded = first_images(splits)
    models = [model, *([served] if served else [])]
    rows = ["test images", "this model", *(["served model"] if served else [])]
    drawn = np.concatenate([model.sample(COLUMNS, 0, temperature) for temperature in TEMPERATURES])
    between = interpolation(model, encoded[:ENDS])
    temperatures = ", ".join(map(str, TEMPERATURES))
    reconstructed = f"{len(encoded)} test images, and below each its reconstruction by {' and by the '.join(rows[1:])}"
    return Looks(
        rows,
        Picture("reconstructions", reconstructions(encoded, models), reconstructed),
        Picture(
            "samples",
            image_grid(shown(drawn), columns=COLUMNS),
            f"{COLUMNS} draws from the prior at each of the temperatures {temperatures}, a row each",
        ),
        between
        and Picture(
            "interpolation",
            between,
            f"{ENDS // 2} rows: a test image, images decoded between its latents and those of another, and that one",
        ),
        *_extremes(model, splits, extremes),
        scale(model.shape),
    )


def _extremes(model: Exported, splits: Sequence[str], extremes: Extremes) -> Iterator[list[Extreme]]:
    """Yields the best and the worst images that the Examples have."""
    fingerprints = {image.fingerprint for image in (*extremes.best, *extremes.worst)}
    found = examples_of([os.path.join(split, "*") for split in splits], fingerprints)
    for end, images in extremes._asdict().items():
        present = [image for image in images if image.fingerprint in found]
        yield _end(end, model, present, [found[image.fingerprint] for image in present]) if present else []


def _end(end: str, model: Exported, images: Sequence[ImageELBO], examples: Sequence[bytes]) -> list[Extreme]:
    raw = tf.io.parse_example(examples, EXAMPLE_FEATURES)
    ids = [name.decode(errors="replace") for name in raw["id"].numpy()]
    extremes = []
    for i, image in enumerate(images):
        alt = f"test image {ids[i]}, above its reconstruction"
        png = reconstructions(raw["image"][i : i + 1], [model])
        extremes.append(Extreme(ids[i], image, Picture(f"{end}-{i + 1}", png, alt)))
    return extremes
