"""The shape of the images of an Examples artifact, which travels in its properties."""

from collections.abc import Sequence

from tfx.types import Artifact

from components.ingest.properties import newest_of, span_name
from trainer.errors import UserError
from trainer.shape import UNSTATED, Shape

PROPERTY = "image_shape"  # custom property of the Examples artifact


def record_shape(examples: Artifact, shape: Shape) -> None:
    """Writes the shape of all its images into `examples`."""
    examples.set_string_custom_property(PROPERTY, str(shape))


def one_shape(examples: Sequence[Artifact]) -> Shape:
    """Returns the shape of all images of all `examples`.

    Raises:
      UserError: spans differ.
    """
    newest, shape = span_name(newest_of(examples)), recorded_shape(newest_of(examples))
    shapes = {span_name(artifact): recorded_shape(artifact) for artifact in examples}
    if differ := [f"{name} ({found})" for name, found in shapes.items() if found != shape]:
        raise UserError(
            f"the images of these spans have another shape than those of {newest}",
            value=differ,
            valid=str(shape),
            remedy="Give all one shape with --image-shape HxWxC, or leave the others out with a smaller --spans",
        )
    return shape


def recorded_shape(examples: Artifact) -> Shape:
    """Returns the shape of all images of `examples`."""
    text = examples.get_string_custom_property(PROPERTY)
    return Shape.parse(text) if text else UNSTATED
