"""Finds a prepared TFDS data set, or prepares it; fails within seconds if it cannot be had."""

import logging
import pathlib
from typing import Any

import numpy as np
import requests
import tensorflow_datasets as tfds

from components.ingest import photo_patches  # noqa: F401  registers the data set with TFDS
from components.ingest.prepared import INFO, REMEDY, open_prepared
from components.ingest.splits import parts_of
from trainer.errors import UserError
from trainer.shape import VALID, Shape
from trainer.storage.digests import write_digests

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5
CHOOSE = "Choose an image data set with images for train"


def prepared_builder(
    dataset: str, data_dirs: list[str], manual_dir: str | None = None, splits: str | None = None
) -> tfds.core.DatasetBuilder:
    """Returns the TFDS builder of `dataset`, whose files are on disk.

    Args:
      dataset: TFDS's name, such as `cifar10` or `cifar10:3.0.2`.
      data_dirs: folders of prepared data sets, searched in order; a data set in none of them is prepared in the last.
      manual_dir: folder with the data set's archive, for a machine that cannot download it.
      splits: TFDS's splits that are train and test; None: those of these names.

    Raises:
      UserError: the data set is unknown, cannot be had, or is damaged; its images are not 8-bit images of 1, 3 or 4
        channels; or `splits` has no images.
    """
    builders = [builder for data_dir in data_dirs if (builder := _builder(dataset, data_dir))]
    if not builders:
        raise UserError(
            "unknown data set",
            valid=f"photo_patches, cifar10, another name that TFDS knows, or one prepared in {' or '.join(data_dirs)}",
            value=dataset,
            remedy=CHOOSE,
        )
    ready = [builder for builder in builders if _is_ready(builder)]
    builder = ready[0] if ready else builders[-1]
    _check_features(builder)
    if not ready:
        try:
            _prepare(builder, data_dirs, manual_dir)
        except OSError:
            if not _is_ready(builder):
                raise
            return prepared_builder(dataset, data_dirs, manual_dir, splits)  # another run was faster
    builder = open_prepared(str(builder.data_path))
    check_prepared(builder, splits)  # again: TFDS's code may describe other features than the files have
    return builder


def check_prepared(builder: tfds.core.DatasetBuilder, splits: str | None) -> None:
    """Checks the features of a prepared data set, and its splits, which `splits` maps to train and test.

    Raises:
      UserError: they are unfit.
    """
    _check_features(builder)
    name = f"data set {builder.info.full_name}"
    for parts in parts_of(splits, list(builder.info.splits), name).values():
        _check_splits(builder, parts)


def base_name(dataset: str) -> str:
    """Returns the name alone: `cifar10` of `cifar10:3.0.2` or `cifar10/some_config`."""
    return dataset.split(":")[0].split("/")[0]


def _builder(dataset: str, data_dir: str) -> tfds.core.DatasetBuilder | None:
    """Returns the builder; None if TFDS has no code for `dataset` and it is not prepared in `data_dir`."""
    try:
        builder = tfds.builder(dataset, data_dir=data_dir)
    except Exception as error:  # of any type if dataset_info.json or features.json is damaged
        for folder in _folders(dataset, data_dir):
            open_prepared(str(folder))
        if isinstance(error, tfds.core.DatasetNotFoundError):
            return None
        if isinstance(error, AssertionError | ValueError):  # no such version or configuration
            text = " ".join(str(error).split()).split('}": ')[-1].rstrip(".")
            raise UserError(text, value=dataset, remedy="Choose one of these with --dataset") from error
        raise
    if pathlib.Path(builder.data_path) in _folders(dataset, data_dir):
        open_prepared(str(builder.data_path))
    return builder


def _folders(dataset: str, data_dir: str) -> set[pathlib.Path]:
    """Returns the folders in `data_dir` with record files of `dataset`, of any version if it names none."""
    version = dataset.partition(":")[2]
    files = pathlib.Path(data_dir, dataset.partition(":")[0]).rglob("*-of-*")
    found = {file.parent for file in files if version in ("", file.parent.name)}
    return {folder for folder in found if not folder.name.startswith("incomplete.")}  # another run prepares it


def _is_ready(builder: tfds.core.DatasetBuilder) -> bool:
    return (builder.data_path / INFO).exists()


def _prepare(builder: tfds.core.DatasetBuilder, data_dirs: list[str], manual_dir: str | None) -> None:
    name, archives = builder.info.full_name, builder.url_infos or {}
    ways = (
        f"Connect this machine to the network and run again, set TFDS_DATA_DIR or --data-dir to a folder in which TFDS "
        f"prepared {name}, or put {', '.join(info.filename for info in archives.values())} into a folder and pass it "
        "with --manual-dir"
    )
    if archives:
        log.info("%s is not in %s", name, " or ".join(data_dirs))
        _check_source(builder, manual_dir, ways)
    log.info("preparing %s in %s", name, builder.data_path)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except tfds.download.download_manager.NonMatchingChecksumError as error:
        raise UserError(f"the archive of {name} has another checksum than TFDS expects", remedy=ways) from error
    write_digests(str(builder.data_path))


def _check_source(builder: tfds.core.DatasetBuilder, manual_dir: str | None, ways: str) -> None:
    """Raises UserError unless `manual_dir` has every archive or its server answers; TFDS would retry for minutes."""
    for url, info in builder.url_infos.items():
        if manual_dir is not None:
            if not (pathlib.Path(manual_dir) / info.filename).is_file():
                raise UserError(f"--manual-dir {manual_dir} has no {info.filename}", value=manual_dir, remedy=ways)
            continue
        try:
            with requests.get(url, stream=True, timeout=CONNECT_SECONDS) as response:
                response.raise_for_status()
        except requests.RequestException as error:
            sentence = f"{builder.info.full_name} cannot be downloaded: {type(error).__name__}"
            raise UserError(sentence, value=url, remedy=ways) from error


def _check_features(builder: tfds.core.DatasetBuilder) -> None:
    """Raises UserError unless the features `image` and, if they are there, `label` and `id` have usable types."""
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        raise _unfit(builder, "features", "a dictionary with an 'image'", str(features))
    image, label, name = (dict(features.items()).get(feature) for feature in ("image", "label", "id"))
    if not isinstance(image, tfds.features.Image | tfds.features.Tensor):
        raise _unfit(builder, "features", "an 'image'", list(features))
    if not _may_be_valid(image):
        raise _unfit(builder, "shape of the images", VALID, list(image.shape))
    if np.dtype(image.np_dtype) != np.uint8:
        remedy = "Convert the images to 8 bits per channel and prepare the data set again"
        raise _unfit(builder, "type of the pixels", "uint8", str(np.dtype(image.np_dtype)), remedy)
    if label is not None and not isinstance(label, tfds.features.ClassLabel):
        remedy = "Prepare the data set with classes as its label, or with no label"
        raise _unfit(builder, "feature 'label'", "a label with classes", str(label), remedy)
    scalar = isinstance(name, tfds.features.Tensor) and not name.shape
    if name is not None and not (scalar and np.dtype(name.np_dtype).kind in "OUSiu"):
        remedy = "Prepare the data set with such ids, or with none: TFDS then numbers the images"
        raise _unfit(builder, "feature 'id'", "a text, bytes or an integer", str(name), remedy)


def _may_be_valid(image: tfds.features.Image | tfds.features.Tensor) -> bool:
    """Returns whether images of this feature may have a valid shape; an Image may leave sizes to its images."""
    if isinstance(image, tfds.features.Image):
        return Shape(*(1 if size is None else size for size in image.shape)).is_valid
    return len(image.shape) == len(Shape._fields) and None not in image.shape and Shape(*image.shape).is_valid


def _check_splits(builder: tfds.core.DatasetBuilder, names: list[str]) -> None:
    """Raises UserError unless TFDS's splits `names` have images, and all their files."""
    splits = builder.info.splits
    for split in names:
        if not splits[split].num_examples:
            raise _unfit(builder, f"images of the split {split}", "at least 1", 0)
        for path in splits[split].filepaths:
            if not path.exists():
                what = f"data set {builder.info.full_name} is incomplete: {path}, which its {INFO} lists, is missing"
                raise UserError(what, value=str(path), remedy=REMEDY)


def _unfit(builder: tfds.core.DatasetBuilder, what: str, valid: str, value: Any, remedy: str = CHOOSE) -> UserError:
    return UserError(f"data set {builder.info.full_name}, {what}", valid=valid, value=value, remedy=remedy)
