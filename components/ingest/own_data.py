"""Finds out what lies at the path of `--data`: its kind, and its parts."""

import os
from collections.abc import Callable

from components.ingest.datasets import check_prepared
from components.ingest.image_folder import SUFFIXES, ImageFolder, subdirectories
from components.ingest.own_files import walk
from components.ingest.prepared import INFO, open_prepared
from components.ingest.source import PreparedSource, Source
from components.ingest.splits import SPLITS, TRAIN, given_parts
from trainer.errors import UserError

VALID = "a directory of images (PNG, JPEG, WebP)"
SOURCES: dict[str, Callable[..., Source]] = {kind.KIND: kind for kind in (PreparedSource, ImageFolder)}


def open_data(path: str, splits: str | None) -> Source:
    """Returns the source of the data at `path`, whose parts `splits` may name.

    Raises:
      UserError: there are none, or their kind or their parts are not clear.
    """
    if not os.path.exists(path):
        raise UserError(f"--data {path} does not exist", value=path, remedy=f"Give {VALID}")
    if os.path.isfile(os.path.join(path, INFO)):
        check_prepared(open_prepared(path), splits)
        return PreparedSource(path)
    if not os.path.isdir(path):
        raise UserError(f"--data {path}, kind", value=os.path.basename(path), valid=VALID, remedy="Convert the data")
    folders = _folders(path, splits)
    for folder in folders.values():
        for names in walk(path, folder):
            for name in names:
                if name.lower().endswith(SUFFIXES):
                    return ImageFolder.of(path, folders)
    raise UserError(f"--data {path} has no images", value=path, valid=VALID, remedy="Check the path")


def source_of(kind: str, location: str, **fields: object) -> Source:
    """Undoes `components.ingest.source.fields_of`."""
    return SOURCES[kind](location, **fields)


def _folders(path: str, splits: str | None) -> dict[str, str]:
    """Returns the parts and their folders; the whole directory is train unless it has a sub-directory of that name."""
    found = subdirectories(path)
    if not splits and TRAIN not in found:
        return {TRAIN: ""}
    if not splits and (others := [name for name in found if name not in SPLITS]):
        raise UserError(
            f"--data {path} has other directories beside train",
            valid="train and test alone, or labels alone",
            value=others,
            remedy="Say with --splits which directories are train and test, such as --splits train=train,test=test",
        )
    if splits and not set(found) & {part for parts in given_parts(splits).values() for part in parts}:
        return {TRAIN: ""}
    return {name: name for name in found}
