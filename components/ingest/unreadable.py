"""Counts the images that cannot be read, and names the first of them; above a share of all, the run ends."""

import logging
import os
from collections.abc import Mapping

import apache_beam as beam
from tfx.types import Artifact

from components.ingest.duplicates import readable
from components.ingest.findings import counted, read_findings, summary, write_findings
from components.ingest.properties import UNREADABLE, record_images
from components.ingest.records import Fault
from trainer.errors import UserError

log = logging.getLogger(__name__)

FILE = "unreadable.json"
SHOWN = 10  # images in a message


def find(faults: beam.PCollection, images: Mapping[str, beam.PCollection], folder: str) -> None:
    """Extends the pipeline of `faults`, texts, and `images` of each split; it writes their numbers to `folder`."""
    found = summary("unreadable", faults, SHOWN)
    for split, items in images.items():
        found |= counted(split, items)
    write_findings(faults.pipeline, os.path.join(folder, FILE), found)


def check(examples: Artifact, max_unreadable: float, one_split: bool = False) -> dict[str, int]:
    """Returns the number of images in each split, and records it and the number of unreadable ones in `examples`.

    Raises:
      UserError: too many images are unreadable, or a split has none; with `one_split`, all have none.
    """
    found = read_findings(os.path.join(examples.uri, FILE))
    count, first = found.pop("unreadable_count"), found.pop("unreadable_examples")
    images = {name.removesuffix("_count"): number for name, number in found.items()}
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
    return images


def unreadable(name: bytes, what: str) -> Fault:
    """Returns the fault of the image `name`."""
    return Fault(f"image {readable(name)}, {what}")
