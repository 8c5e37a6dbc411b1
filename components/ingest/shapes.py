"""The shape of the images of an Examples artifact, which travels in its properties."""

from tfx.types import Artifact

from trainer.shape import UNSTATED, Shape

PROPERTY = "image_shape"  # custom property of the Examples artifact


def record_shape(examples: Artifact, shape: Shape) -> None:
    """Writes the shape of all its images into `examples`."""
    examples.set_string_custom_property(PROPERTY, str(shape))


def recorded_shape(examples: Artifact) -> Shape:
    """Returns the shape of all images of `examples`."""
    text = examples.get_string_custom_property(PROPERTY)
    return Shape.parse(text) if text else UNSTATED
