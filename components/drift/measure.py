"""Measures how two Examples artifacts differ."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import apache_beam as beam
from tfx.types import Artifact, artifact_utils

from components.drift.compare import Comparator, compare, has_labels
from components.drift.elbo import elbo_statistics, read_elbo
from components.drift.findings import Findings
from components.ingest.shapes import recorded_shape
from components.ingest.splits import TEST
from components.ingest.statistics import read_statistics
from trainer.errors import UserError
from trainer.shape import Shape
from trainer.units import read_units


class Side(NamedTuple):
    """One of two sets of images, in spans or whole."""

    words: str
    examples: list[Artifact]  # of each span
    statistics: list[Artifact]


def measure(
    current: Side,
    reference: Side,
    comparator: Comparator,
    allowed: float,
    model: str | None,
    folder: str,
    make_pipeline: Callable[[], beam.Pipeline],
) -> Findings:
    """Compares two sets of images, all splits of each together, and the ELBO of their test images.

    Args:
      current: the one side.
      reference: the other; without Examples or statistics there is nothing to compare with.
      comparator: TFDV's comparator.
      allowed: divergence that is no drift, bits, beside what chance alone gives.
      model: path of the SavedModel that gives the ELBO, or None.
      folder: where Beam's workers write statistics of the ELBO.
      make_pipeline: makes a Beam pipeline.

    Raises:
      UserError: the sides, or they and the model, have other shapes.
    """
    sides = {"current": current, "reference": reference}
    if not (reference.examples and reference.statistics):
        note = f"there is nothing of the same shape yet to compare {current.words} with"
        return Findings(comparator, current.words, reference.words, allowed, [], [note])
    shape = _shape(sides.values())
    found = {
        name: [of for made in side.statistics for of in read_statistics(made).values()] for name, side in sides.items()
    }
    notes = []
    if len(labelled := [sides[name].words for name, parts in found.items() if has_labels(parts)]) == 1:
        notes.append(f"only {labelled[0]} have labels, so labels are not compared")
    if model is None:
        notes.append("without a served model the ELBO is not compared")
    elif without := [side.words for side in sides.values() if not _test_images(side)]:
        notes.append(f"{' and '.join(without)} have no test images, so the ELBO is not compared")
    else:
        _check_model(model, shape)
        splits = {
            name: [artifact_utils.get_split_uri([examples], TEST) for examples in side.examples]
            for name, side in sides.items()
        }
        with make_pipeline() as pipeline:
            elbo_statistics(pipeline, model, splits, folder)
        for name in sides:
            found[name].append(read_elbo(folder, name))
    figures = compare(found["current"], found["reference"], comparator, allowed)
    return Findings(comparator, current.words, reference.words, allowed, figures, notes)


def _test_images(side: Side) -> int:
    splits = (read_statistics(made).get(TEST) for made in side.statistics)
    return sum(split.num_examples for split in splits if split)


def shapes_of(*sides: Side) -> dict[Shape, str]:
    """Returns the shapes of images, each with words for a side that has it."""
    return {recorded_shape(examples): side.words for side in sides for examples in side.examples}


def _shape(sides: Iterable[Side]) -> Shape:
    """Returns the shape of all images.

    Raises:
      UserError: there are several.
    """
    shapes = shapes_of(*sides)
    if len(shapes) > 1:
        first, other, *_ = shapes.items()
        raise UserError(
            f"{first[1]} and {other[1]} have images of other shapes, so they cannot be compared",
            valid=str(first[0]),
            value=str(other[0]),
            remedy="Fit both to one shape with --image-shape HxWxC",
        )
    return next(iter(shapes))


def _check_model(model: str, shape: Shape) -> None:
    if (theirs := read_units(model).shape) != str(shape):
        raise UserError(
            f"the images have another shape than those of the model {model}, so it has no ELBO for them",
            valid=theirs,
            value=str(shape),
            remedy=f"Fit the images with --image-shape {theirs}, or compare without the model",
        )
