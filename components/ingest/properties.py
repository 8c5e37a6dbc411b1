"""What ingestion says about the Examples, in custom properties of their artifact."""

from tfx.types import Artifact

UNREADABLE = "unreadable_images"


def unreadable_images(examples: Artifact) -> int:
    """Returns the number of images that were left out."""
    return examples.get_int_custom_property(UNREADABLE)
