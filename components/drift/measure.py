"""Measures how two Examples artifacts differ."""

from collections.abc import Callable
from typing import NamedTuple

import apache_beam as beam
from tfx.types import Artifact, artifact_utils

from components.drift.compare import Comparator, compare
from components.drift.elbo import elbo_statistics, read_elbo
from components.drift.findings import Findings
from components.ingest.shapes import recorded_shape
from components.ingest.splits import TEST
from components.ingest.statistics import read_statistics, splits_of
from trainer.errors import UserError
from trainer.shape import Shape
from trainer.units import read_units


class Side(NamedTuple):
    """One of two sets of images."""

    words: str
    examples: Artifact
    statistics: Artifact


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
      reference: the other.
      comparator: TFDV's comparator.
      allowed: divergence that is no drift, bits, beside what chance alone gives.
      model: path of the SavedModel that gives the ELBO, or None.
      folder: where Beam's workers write statistics of the ELBO.
      make_pipeline: makes a Beam pipeline.

    Raises:
      UserError: the sides, or they and the model, have other shapes.
    """
    shapes = {side.words: recorded_shape(side.examples) for side in (current, reference)}
    _check_shapes(current, reference, shapes)
    ours, theirs = read_statistics(current.statistics), read_statistics(reference.statistics)
    notes = []
    if model is None:
        notes.append("without a served model the ELBO is not compared")
    elif without := [side.words for side in (current, reference) if TEST not in splits_of(side.examples)]:
        notes.append(f"{' and '.join(without)} have no test images, so the ELBO is not compared")
    else:
        _check_model(model, shapes[current.words])
        sides = {"current": current, "reference": reference}
        splits = {name: artifact_utils.get_split_uri([side.examples], TEST) for name, side in sides.items()}
        with make_pipeline() as pipeline:
            elbo_statistics(pipeline, model, splits, folder)
        ours, theirs = [*ours, read_elbo(folder, "current")], [*theirs, read_elbo(folder, "reference")]
    return Findings(
        comparator, current.words, reference.words, allowed, compare(ours, theirs, comparator, allowed), notes
    )


def _check_shapes(current: Side, reference: Side, shapes: dict[str, Shape]) -> None:
    if shapes[current.words] != shapes[reference.words]:
        raise UserError(
            f"{current.words} and {reference.words} have images of other shapes, so they cannot be compared",
            valid=str(shapes[current.words]),
            value=str(shapes[reference.words]),
            remedy="Fit both to one shape with --image-shape HxWxC",
        )


def _check_model(model: str, shape: Shape) -> None:
    if (theirs := read_units(model).shape) != str(shape):
        raise UserError(
            f"the images have another shape than those of the model {model}, so it has no ELBO for them",
            valid=theirs,
            value=str(shape),
            remedy=f"Fit the images with --image-shape {theirs}, or compare without the model",
        )
