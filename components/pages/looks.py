"""The pictures of the report: what the model makes of test images, and of nothing."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from components.gate.extremes import Extremes, ImageELBO
from components.pages.interpolation import interpolation
from components.pages.pictures import first_images, image_grid, reconstructions, scale, shown
from trainer.exported import Exported
from trainer.images import EXAMPLE_FEATURES, decode, examples_of

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
    models = {"this model": model, **({"served model": served} if served else {})}
    drawn = np.concatenate([model.sample(COLUMNS, 0, temperature) for temperature in TEMPERATURES])
    between = interpolation(model, encoded[:ENDS])
    fingerprints = {image.fingerprint for images in extremes for image in images}
    found = examples_of([os.path.join(split, "*") for split in splits], fingerprints)
    return Looks(
        rows=["test images", *models],
        reconstructions=Picture(
            "reconstructions",
            reconstructions(encoded, [*models.values()]),
            f"{len(encoded)} test images, and below each its reconstruction by {' and by the '.join(models)}",
        ),
        samples=Picture(
            "samples",
            image_grid(shown(drawn), columns=COLUMNS),
            f"a row of {COLUMNS} draws from the prior at each of the temperatures {', '.join(map(str, TEMPERATURES))}",
        ),
        interpolation=Picture(
            "interpolation",
            between,
            f"{ENDS // 2} rows: a test image, images decoded between its latents and those of another, and that one",
        )
        if between
        else None,
        best=_end("best", model, extremes.best, found),
        worst=_end("worst", model, extremes.worst, found),
        scale=scale(model.shape),
    )


def _end(end: str, model: Exported, images: Sequence[ImageELBO], examples: Mapping[int, bytes]) -> list[Extreme]:
    """Draws those of the images that are among the serialized Examples, by fingerprint."""
    present = [image for image in images if image.fingerprint in examples]
    if not present:
        return []
    raw = tf.io.parse_example([examples[image.fingerprint] for image in present], EXAMPLE_FEATURES)
    ids = [name.decode(errors="replace") for name in raw["id"].numpy()]
    pairs = np.stack([decode(raw["image"], model.shape).numpy(), model.reconstruct(raw["image"])], axis=1)
    extremes = []
    for i, image in enumerate(present):
        alt = f"test image {ids[i]}, above its reconstruction"
        extremes.append(Extreme(ids[i], image, Picture(f"{end}-{i + 1}", image_grid(shown(pairs[i]), columns=1), alt)))
    return extremes
