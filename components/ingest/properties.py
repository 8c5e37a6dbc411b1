"""What ingestion says about the Examples, in custom properties of their artifact."""

import json

from tfx.types import Artifact

UNREADABLE, LABELS = "unreadable_images", "labels"


def unreadable_images(examples: Artifact) -> int:
    """Returns the number of images that were left out."""
    return examples.get_int_custom_property(UNREADABLE)


def label_names(examples: Artifact) -> list[str]:
    """Returns the names of the labels, of which an image has the index; none if the data do not name them."""
    return json.loads(examples.get_string_custom_property(LABELS) or "[]")
