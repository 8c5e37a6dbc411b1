"""What ingestion says about the Examples, in custom properties of their artifact."""

from collections.abc import Mapping

from tfx.components.example_gen.utils import SPAN_PROPERTY_NAME
from tfx.types import Artifact

UNREADABLE = "unreadable_images"
SPAN = "span_name"


def unreadable_images(examples: Artifact) -> int:
    """Returns the number of images that were left out."""
    return examples.get_int_custom_property(UNREADABLE)


def span_name(examples: Artifact) -> str:
    """Returns the name of the span that the images came in; empty if the data have no spans."""
    return examples.get_string_custom_property(SPAN)


def span_number(examples: Artifact) -> int:
    """Returns TFX's number of the span that the images came in; 0 if the data have no spans."""
    return examples.get_int_custom_property(SPAN_PROPERTY_NAME)


def images_in(examples: Artifact, split: str) -> int:
    """Returns the number of images in a split."""
    return examples.get_int_custom_property(f"{split}_images")


def record_images(examples: Artifact, images: Mapping[str, int]) -> None:
    """Writes the number of images in each split into `examples`."""
    for split, number in images.items():
        examples.set_int_custom_property(f"{split}_images", number)
