"""Finds out what lies at the path of `--data`: its kind, and its parts."""

import os
from collections.abc import Callable

from components.ingest import array_files, image_folder
from components.ingest.array_files import ArrayFiles
from components.ingest.datasets import check_prepared
from components.ingest.example_files import ExampleFiles, is_record_file
from components.ingest.image_folder import ImageFolder, subdirectories
from components.ingest.own_files import walk
from components.ingest.prepared import INFO, open_prepared
from components.ingest.source import PreparedSource, Source
from components.ingest.splits import SPLITS, TRAIN, given_parts
from trainer.errors import UserError

VALID = "images (PNG, JPEG, WebP), arrays (.npz, .npy) or TFRecords of Examples (.tfrecord)"
SOURCES: dict[str, Callable[..., Source]] = {
    kind.KIND: kind for kind in (PreparedSource, ImageFolder, ExampleFiles, ArrayFiles)
}


def open_data(path: str, splits: str | None, marker: str | None = None) -> Source:
    """Returns the source of the data at `path`, whose parts `splits` may name; the file `marker` in it is no data.

    The kind is that of the first file whose name tells one.

    Raises:
      UserError: there are none; their kind or their parts are not clear; or they are damaged.
    """
    if not os.path.exists(path):
        raise UserError(f"--data {path} does not exist", value=path, remedy="Check the path")
    if os.path.isfile(os.path.join(path, INFO)):
        check_prepared(open_prepared(path), splits)
        return PreparedSource(path)
    if not os.path.isdir(path):
        folder, name = os.path.split(path)
        return _of_files(_kind(name), path, folder, {TRAIN: [name]})
    folders = _folders(path, splits)
    named = (name for folder in folders.values() for name in walk(path, folder, marker))
    kind = next((found for name in named if (found := _kind(name))), "")
    if kind == ImageFolder.KIND:
        return ImageFolder.of(path, folders, marker)
    files = {part: [*walk(path, folder, marker)] for part, folder in folders.items()}
    return _of_files(kind, path, path, files)


def source_of(kind: str, location: str, **fields: object) -> Source:
    """Undoes `components.ingest.source.fields_of`."""
    return SOURCES[kind](location, **fields)


def _kind(name: str) -> str:
    """Returns the kind of data that the name of a file tells; empty if it tells none."""
    if is_record_file(name):
        return ExampleFiles.KIND
    if name.lower().endswith(array_files.SUFFIXES):
        return ArrayFiles.KIND
    return ImageFolder.KIND if name.lower().endswith(image_folder.SUFFIXES) else ""


def _of_files(kind: str, path: str, location: str, files: dict[str, list[str]]) -> Source:
    """Returns the source of files that each hold many images."""
    if kind == ExampleFiles.KIND:
        return ExampleFiles.of(location, files)
    if kind == ArrayFiles.KIND:
        return ArrayFiles.of(location, files)
    raise UserError(f"--data {path} is not known as data", valid=VALID, value=path, remedy="Check the path")


def _folders(path: str, splits: str | None) -> dict[str, str]:
    """Returns the parts and their folders; the whole directory is train unless it has a sub-directory of that name."""
    found = subdirectories(path)
    if splits and set(found) & {part for parts in given_parts(splits).values() for part in parts}:
        return {name: name for name in found}
    if splits or TRAIN not in found:
        return {TRAIN: ""}
    if others := [name for name in found if name not in SPLITS]:
        raise UserError(
            f"--data {path} has other directories beside train",
            valid="train and test alone, or labels alone",
            value=others,
            remedy="Say with --splits which directories are train and test, such as --splits train=train,test=test",
        )
    return {name: name for name in found}
