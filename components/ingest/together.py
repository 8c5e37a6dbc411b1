"""Checks of the Examples of several spans, which a run uses together."""

from collections.abc import Sequence

from tfx.types import Artifact

from components.ingest.properties import images_in, span_name, span_number
from components.ingest.shapes import recorded_shape
from components.ingest.splits import SPLITS
from trainer.errors import UserError
from trainer.shape import Shape


def one_shape(examples: Sequence[Artifact]) -> Shape:
    """Returns the shape of all images of all `examples`.

    Raises:
      UserError: spans differ.
    """
    newest = max(examples, key=span_number)
    shape, shapes = recorded_shape(newest), {span_name(artifact): recorded_shape(artifact) for artifact in examples}
    if differ := [f"{name} ({found})" for name, found in shapes.items() if found != shape]:
        raise UserError(
            f"the images of these spans have another shape than those of {span_name(newest)}",
            value=differ,
            valid=str(shape),
            remedy="Give all one shape with --image-shape HxWxC, or leave the others out with a smaller --spans",
        )
    return shape


def check_splits(examples: Sequence[Artifact]) -> None:
    """Checks that the spans together have images to train on and to test on. One of them may be too small for both.

    Raises:
      UserError: they have not.
    """
    for split in SPLITS if all(map(span_name, examples)) else ():
        if not any(images_in(artifact, split) for artifact in examples):
            raise UserError(
                f"no image of the spans is in {split}",
                value=[span_name(artifact) for artifact in examples],
                valid="at least 1",
                remedy="Use more spans with --spans, or change --test-share",
            )
