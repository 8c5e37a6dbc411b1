"""Opens a data set that TFDS has prepared; damage to its description is named with the file and the remedy."""

import hashlib
import importlib.util
import pathlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import tensorflow_datasets as tfds

from trainer.errors import UserError, reason
from trainer.storage.digests import THREADS

INFO, FEATURES = "dataset_info.json", "features.json"
LABELS = "*labels.txt"
REMEDY = "Copy the data set again, or delete its folder and prepare it again"

# TFDS's name of each file format that `components.ingest.records` reads -> the package that reads it.
FORMATS = {"tfrecord": "tensorflow", "array_record": "array_record", "parquet": "pyarrow"}


class Shard(NamedTuple):
    """One file of a split."""

    path: str
    file_format: str  # a key of FORMATS
    records: int  # according to dataset_info.json


def open_prepared(folder: str) -> tfds.core.DatasetBuilder:
    """Returns the builder of the data set in `folder`, which reads its description and runs none of its code.

    Raises:
      UserError: a damaged or missing description, or a file format that cannot be read here.
    """
    for name in (INFO, FEATURES):
        if not (pathlib.Path(folder) / name).is_file():
            raise UserError(f"{folder}/{name} is missing: expected it beside the files of the data set. {REMEDY}")
    try:
        builder = tfds.builder_from_directory(folder)
        for split in builder.info.splits.values():
            if len(split.filepaths) != len(split.shard_lengths):
                raise ValueError(f"{len(split.filepaths)} files of {split.name}, {len(split.shard_lengths)} lengths")
    except Exception as error:  # json, protobuf, Unicode and TFDS each raise types of their own
        name = INFO if _sound_features(folder) else FEATURES
        raise UserError(
            f"{folder}/{name} is damaged: expected what TFDS wrote, got {reason(error)}. {REMEDY}"
        ) from error
    _check_format(builder)
    return builder


def shards(builder: tfds.core.DatasetBuilder, split: str) -> list[Shard]:
    """The files of a split in order."""
    info = builder.info.splits[split]
    lengths = zip(info.filepaths, info.shard_lengths, strict=True)
    return [Shard(str(path), builder.info.file_format.value, records) for path, records in lengths]


def content_fingerprint(builder: tfds.core.DatasetBuilder, splits: tuple[str, ...]) -> str:
    """SHA-256 of the name, version and content of every file that `splits` are read from; paths and times do not enter.

    Raises:
      OSError: a file cannot be read.
    """
    folder = pathlib.Path(builder.data_path)
    paths = {folder / INFO, folder / FEATURES, *folder.glob(LABELS)}
    paths |= {pathlib.Path(shard.path) for split in splits for shard in shards(builder, split)}
    ordered = sorted(paths, key=lambda path: path.name)
    with ThreadPoolExecutor(THREADS) as threads:
        digests = list(threads.map(_sha256, ordered))
    lines = [f"{path.name} {digest}\n" for path, digest in zip(ordered, digests, strict=True)]
    return hashlib.sha256("".join([f"{builder.info.full_name}\n", *lines]).encode()).hexdigest()


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_format(builder: tfds.core.DatasetBuilder) -> None:
    name = builder.info.file_format.value
    installed = [known for known, package in FORMATS.items() if importlib.util.find_spec(package)]
    if name not in installed:
        raise UserError(
            f"data set {builder.info.full_name}: the file format {name} cannot be read on this machine, expected one "
            f"of {', '.join(installed)}. Convert it with `tfds convert_format`, or prepare it again as tfrecord"
        )


def _sound_features(folder: str) -> bool:
    try:
        tfds.features.FeaturesDict.from_config(folder)
    except Exception:  # as in open_prepared
        return False
    return True
