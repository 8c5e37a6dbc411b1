"""Opens a data set that TFDS has prepared; an error names the damaged file."""

import hashlib
import importlib.util
import os
import pathlib
from typing import NamedTuple

import tensorflow_datasets as tfds

from trainer.errors import UserError, reason
from trainer.storage.digests import digest_files, identity

INFO, FEATURES = "dataset_info.json", "features.json"
LABELS = "*labels.txt"
REMEDY = "Copy the data set again, or delete its folder and prepare it again"

# TFDS's name of each file format that `components.ingest.records` reads -> package that reads it.
FORMATS = {"tfrecord": "tensorflow", "array_record": "array_record", "parquet": "pyarrow"}


class Shard(NamedTuple):
    """A piece of a part of the data, which one worker reads."""

    path: str  # a file, or the folder of `names`
    file_format: str  # a key of FORMATS, or the kind of another source
    records: int  # of a data set according to dataset_info.json
    names: tuple[str, ...] = ()  # image files; none: the file `path` holds many images


def open_prepared(folder: str) -> tfds.core.DatasetBuilder:
    """Returns the builder of the data set in `folder`, made from its description, not from TFDS's code for it.

    Raises:
      UserError: the description is damaged or missing, or this machine cannot read the file format.
    """
    for name in (INFO, FEATURES):
        if not os.path.isfile(path := f"{folder}/{name}"):
            raise UserError(f"{path} is missing, the description of the data set", value=path, remedy=REMEDY)
    damaged = FEATURES
    try:
        tfds.features.FeaturesDict.from_config(folder)
        damaged = INFO
        builder = tfds.builder_from_directory(folder)
        for split in builder.info.splits.values():
            if len(split.filepaths) != len(split.shard_lengths):
                raise ValueError(f"{len(split.filepaths)} files of {split.name}, {len(split.shard_lengths)} lengths")
    except Exception as error:  # json, protobuf, Unicode and TFDS each raise their own types
        path = f"{folder}/{damaged}"
        raise UserError(f"{path} is damaged: {reason(error)}", value=path, remedy=REMEDY) from error
    _check_format(builder)
    return builder


def shards(builder: tfds.core.DatasetBuilder, split: str) -> list[Shard]:
    """Returns the files of a split in order."""
    info = builder.info.splits[split]
    lengths = zip(info.filepaths, info.shard_lengths, strict=True)
    return [Shard(str(path), builder.info.file_format.value, records) for path, records in lengths]


def content_fingerprint(builder: tfds.core.DatasetBuilder, splits: tuple[str, ...]) -> str:
    """Returns a hash of the data set's name and version and of the content of every file that `splits` need.

    Neither the folder nor the time of a file matters.

    Raises:
      OSError: a file cannot be read.
    """
    content = identity(digest_files(str(builder.data_path), files_of(builder, splits)))
    return hashlib.sha256(f"{builder.info.full_name} {content}".encode()).hexdigest()


def files_of(builder: tfds.core.DatasetBuilder, splits: tuple[str, ...]) -> list[str]:
    """Returns the names of the files that `splits` need, sorted."""
    folder = pathlib.Path(builder.data_path)
    names = {INFO, FEATURES, *(path.name for path in folder.glob(LABELS))}
    return sorted(names | {os.path.relpath(shard.path, folder) for split in splits for shard in shards(builder, split)})


def _check_format(builder: tfds.core.DatasetBuilder) -> None:
    name = builder.info.file_format.value
    installed = [known for known, package in FORMATS.items() if importlib.util.find_spec(package)]
    if name not in installed:
        raise UserError(
            f"data set {builder.info.full_name}, file format",
            valid=f"one of {', '.join(installed)} on this machine",
            value=name,
            remedy="Convert it with `tfds convert_format`, or prepare it again as tfrecord",
        )
