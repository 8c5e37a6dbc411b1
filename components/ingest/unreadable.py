"""Counts the images that cannot be read, and names the first of them; above a share of all, the run ends."""

import logging

from tfx.types import Artifact

from components.ingest.findings import key_files, read_faults
from components.ingest.names import readable
from components.ingest.properties import UNREADABLE, record_images
from components.ingest.records import Fault
from components.ingest.splits import SPLITS
from trainer.errors import UserError

log = logging.getLogger(__name__)

SHOWN = 10  # images in a message


def check(examples: Artifact, max_unreadable: float, one_split: bool = False) -> None:
    """Records in `examples` the number of images in each split, and of unreadable ones.

    Raises:
      UserError: too many images are unreadable, or a split has none; with `one_split`, all have none.
    """
    count, first = read_faults(examples.uri, SHOWN)
    images = {split: sum(file.images for file in key_files(examples.uri, split)) for split in SPLITS}
    total = count + sum(images.values())
    shown = f", of which the first {SHOWN} are shown" if count > SHOWN else ""
    sentence = f"{count} of {total} images cannot be read{shown}"
    if count > max_unreadable * total:
        raise UserError(
            sentence,
            valid=f"a share of at most {max_unreadable:g} (max_unreadable)",
            value=first,
            remedy="Repair or remove them, fit other shapes with --image-shape HxWxC, or leave them out with a larger "
            "--max-unreadable; nothing was trained",
        )
    examples.set_int_custom_property(UNREADABLE, count)
    if count:
        log.warning("%s; left out, as max_unreadable allows: %s", sentence, "; ".join(first))
    for split, number in images.items():
        if not number and not (one_split and any(images.values())):
            remedy = "Add images, or change --splits or --test-share"
            raise UserError(f"images of the split {split}", valid="at least 1", value=0, remedy=remedy)
    record_images(examples, images)


def unreadable(name: bytes, what: str) -> Fault:
    """Returns the fault of the image `name`."""
    return Fault(f"image {readable(name)}, {what}")
