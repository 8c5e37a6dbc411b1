"""Finds repeated ids and test images that are also training images; refuses or records them.

Beam finds them and writes a file beside the Examples, because a remote Beam runner can return nothing else.
"""

import json
import logging
import pathlib

import apache_beam as beam
from tfx.types import Artifact

from trainer.errors import UserError

log = logging.getLogger(__name__)

FILE = "duplicates.json"
SHARED_IMAGES = "shared_images"  # custom property of the Examples artifact
SHOWN = 2  # examples in a message

Key = tuple[bytes, bytes]  # digest of the pixels, id; Beam is faster with plain tuples than with named ones


def shared_images(examples: Artifact) -> int:
    """Returns the number of test images that are also training images, pixel by pixel."""
    return examples.get_int_custom_property(SHARED_IMAGES)


def find(train: beam.PCollection, test: beam.PCollection, folder: str) -> None:
    """Extends the pipeline of `train` and `test`, two collections of `Key`; it writes its findings to `folder`.

    Memory holds the digests of the test images. Ids are counted by key.
    """
    found: dict[str, beam.pvalue.AsSideInput] = {}
    for split, keys in (("train", train), ("test", test)):
        repeated = (
            keys
            | f"Ids[{split}]" >> beam.Map(lambda key: key[1])
            | f"CountIds[{split}]" >> beam.combiners.Count.PerElement()
            | f"RepeatedIds[{split}]" >> beam.Filter(lambda item: item[1] > 1)
            | f"ShowIds[{split}]" >> beam.Map(lambda item: (readable(item[0]), item[1]))
        )
        found |= _summary(f"repeated_{split}", repeated)
    digests = test | "TestDigests" >> beam.Map(lambda key: (key[0], None))
    in_train = (
        train
        | "AlsoInTest" >> beam.Filter(lambda key, test: key[0] in test, beam.pvalue.AsDict(digests))
        | "FirstInTrain" >> beam.CombinePerKey(min)
    )
    shared = test | "AlsoInTrain" >> beam.FlatMap(_twins, beam.pvalue.AsDict(in_train))
    found |= _summary("shared", shared)
    _ = test.pipeline | "Start" >> beam.Create([folder]) | "WriteDuplicates" >> beam.Map(_write, **found)


def check(examples: Artifact, test_images: int, allow_shared_images: bool) -> None:
    """Records the number of shared images in `examples`.

    Raises:
      UserError: an id is repeated, or an image is shared and that is not allowed.
    """
    found = json.loads(pathlib.Path(examples.uri, FILE).read_text())
    for split in ("train", "test"):
        if count := found[f"repeated_{split}_count"]:
            raise UserError(
                f"the split {split} repeats {count} id(s)",
                valid="a unique id for each image, which seeds its noise",
                value=[f"{name} ({times} images)" for name, times in found[f"repeated_{split}_examples"]],
                remedy="Give the images unique ids and prepare the data set again",
            )
    count = found["shared_count"]
    examples.set_int_custom_property(SHARED_IMAGES, count)
    if not count:
        return
    shown = [f"{test} (in train: {train})" for test, train in found["shared_examples"]]
    sentence = f"{count} of {test_images} test images are also training images, pixel by pixel"
    if not allow_shared_images:
        raise UserError(
            sentence,
            valid="new images, so that the test-set ELBO measures generalization",
            value=shown,
            remedy="Remove them and prepare the data set again, or accept them with --allow-shared-images (run "
            "parameter allow_shared_images)",
        )
    log.warning("%s, such as %s; accepted by allow_shared_images", sentence, " and ".join(shown))


def readable(name: bytes) -> str:
    """Returns an id as one line of printable text."""
    text = name.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _twins(key: Key, in_train: dict[bytes, bytes]) -> list[tuple[str, str]]:
    digest, name = key
    return [(readable(name), readable(in_train[digest]))] if digest in in_train else []


def _summary(name: str, items: beam.PCollection) -> dict[str, beam.pvalue.AsSideInput]:
    """Returns the number of `items` and the first few of them, as side inputs of `_write`."""
    count = items | f"Count[{name}]" >> beam.combiners.Count.Globally()
    first = items | f"First[{name}]" >> beam.combiners.Top.Smallest(SHOWN)
    return {f"{name}_count": beam.pvalue.AsSingleton(count), f"{name}_examples": beam.pvalue.AsSingleton(first)}


def _write(folder: str, **found: int | list) -> None:
    pathlib.Path(folder, FILE).write_text(json.dumps(found))
