"""Finds a prepared TFDS data set, or prepares it; a missing one fails in seconds, with what to do."""

import logging
import pathlib

import numpy as np
import requests
import tensorflow_datasets as tfds

from components.ingest import photo_patches  # noqa: F401  registers the data set with TFDS
from components.ingest.prepared import INFO, REMEDY, open_prepared
from trainer.errors import UserError
from trainer.images import IMAGE_SHAPE
from trainer.storage.digests import write_digests

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5
SPLITS = ("train", "test")


def prepared_builder(dataset: str, data_dirs: list[str], manual_dir: str | None = None) -> tfds.core.DatasetBuilder:
    """The TFDS builder of `dataset`, with its files on disk.

    Args:
      dataset: name as TFDS writes it, such as `cifar10` or `cifar10:3.0.2`.
      data_dirs: folders of prepared data sets, looked through in order; a data set that none of them has is
        prepared in the last.
      manual_dir: folder with the data set's archive, for a machine that cannot download it.

    Raises:
      UserError: unknown data set, no 8-bit 32x32x3 images, no train and test split, damaged files, or no way to get
        the data.
    """
    builders = [builder for data_dir in data_dirs if (builder := _builder(dataset, data_dir))]
    if not builders:
        raise UserError(
            f"unknown data set {dataset!r}: expected photo_patches, cifar10 or another TFDS image "
            f"classification data set of 32x32x3 images, or one prepared in {' or '.join(data_dirs)}"
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
            return prepared_builder(dataset, data_dirs, manual_dir)  # another run was faster
    builder = open_prepared(str(builder.data_path))
    _check_features(builder)  # TFDS's code may describe other features than the files have
    _check_splits(builder)
    return builder


def base_name(dataset: str) -> str:
    """The name alone, `cifar10`, of `cifar10:3.0.2` or `cifar10/some_config`."""
    return dataset.split(":")[0].split("/")[0]


def _builder(dataset: str, data_dir: str) -> tfds.core.DatasetBuilder | None:
    """None: TFDS has no code for `dataset`, and it is not prepared in `data_dir` either."""
    try:
        builder = tfds.builder(dataset, data_dir=data_dir)
    except Exception as error:  # of any type, where dataset_info.json or features.json is damaged
        for folder in _folders(dataset, data_dir):
            open_prepared(str(folder))
        if isinstance(error, tfds.core.DatasetNotFoundError):
            return None
        if isinstance(error, AssertionError | ValueError):  # a version or configuration that does not exist
            raise UserError(" ".join(str(error).split()).split('}": ')[-1]) from error
        raise
    if pathlib.Path(builder.data_path) in _folders(dataset, data_dir):
        open_prepared(str(builder.data_path))
    return builder


def _folders(dataset: str, data_dir: str) -> set[pathlib.Path]:
    """Folders in `data_dir` with record files of `dataset`, of any version if it names none."""
    version = dataset.partition(":")[2]
    files = pathlib.Path(data_dir, dataset.partition(":")[0]).rglob("*-of-*")
    found = {file.parent for file in files if version in ("", file.parent.name)}
    return {folder for folder in found if not folder.name.startswith("incomplete.")}  # another run prepares it


def _is_ready(builder: tfds.core.DatasetBuilder) -> bool:
    return (builder.data_path / INFO).exists()


def _prepare(builder: tfds.core.DatasetBuilder, data_dirs: list[str], manual_dir: str | None) -> None:
    name, archives = builder.info.full_name, builder.url_infos or {}
    ways = (
        f"There are three ways to get it: connect this machine to the network and run again; or set TFDS_DATA_DIR "
        f"(or --data-dir) to a folder that has {name} prepared by TFDS; or put "
        f"{', '.join(info.filename for info in archives.values())} into a folder and pass it with --manual-dir"
    )
    if archives:
        log.info("%s is not in %s", name, " or ".join(data_dirs))
        _check_source(builder, manual_dir, ways)
    log.info("preparing %s in %s", name, builder.data_path)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except tfds.download.download_manager.NonMatchingChecksumError as error:
        raise UserError(
            f"the archive of {name} is not the one that TFDS knows: its checksum differs. {ways}"
        ) from error
    write_digests(str(builder.data_path))


def _check_source(builder: tfds.core.DatasetBuilder, manual_dir: str | None, ways: str) -> None:
    """Raises unless every archive lies in `manual_dir` or its server answers: TFDS itself retries for minutes."""
    for url, info in builder.url_infos.items():
        if manual_dir is not None:
            if not (pathlib.Path(manual_dir) / info.filename).is_file():
                raise UserError(f"--manual-dir {manual_dir} has no {info.filename}. {ways}")
            continue
        try:
            with requests.get(url, stream=True, timeout=CONNECT_SECONDS) as response:
                response.raise_for_status()
        except requests.RequestException as error:
            raise UserError(
                f"{builder.info.full_name} cannot be downloaded ({type(error).__name__}). {ways}"
            ) from error


def _check_features(builder: tfds.core.DatasetBuilder) -> None:
    name = builder.info.full_name
    if not isinstance(builder.info.features, tfds.features.FeaturesDict):
        raise UserError(f"data set {name}: expected the features 'image' and 'label', got {builder.info.features}")
    features = dict(builder.info.features.items())
    _check_image(name, features)
    if not isinstance(features.get("label"), tfds.features.ClassLabel):
        raise UserError(f"data set {name}: expected a feature 'label' with classes, got {list(features)}")
    if "id" in features:
        kind = features["id"]
        if not isinstance(kind, tfds.features.Tensor) or kind.shape or np.dtype(kind.np_dtype).kind not in "OUSiu":
            raise UserError(
                f"data set {name}: expected a feature 'id' that is a text, bytes or a whole number, got {kind}. "
                "Prepare it with such ids, or with none: TFDS then numbers the images"
            )


def _check_image(name: str, features: dict[str, tfds.features.FeatureConnector]) -> None:
    image = features.get("image")
    if not isinstance(image, tfds.features.Image | tfds.features.Tensor) or image.shape != IMAGE_SHAPE:
        came = f"a feature of shape {image.shape}" if image is not None else f"the features {list(features)}"
        raise UserError(f"data set {name}: expected a feature 'image' of shape {IMAGE_SHAPE}, got {came}")
    kind = np.dtype(image.np_dtype)
    if kind != np.uint8:
        raise UserError(
            f"data set {name}: expected images of 8 bits a colour (uint8), got {8 * kind.itemsize} bits ({kind}). "
            "Convert them to 8 bits and prepare the data set again"
        )


def _check_splits(builder: tfds.core.DatasetBuilder) -> None:
    name, splits = builder.info.full_name, builder.info.splits
    for split in SPLITS:
        if split not in splits:
            raise UserError(f"data set {name}: expected the splits train and test, got {', '.join(splits) or 'none'}")
        if not splits[split].num_examples:
            raise UserError(f"data set {name}: the split {split} is empty, expected at least one image")
        for path in splits[split].filepaths:
            if not path.exists():
                raise UserError(f"data set {name} is not whole: {path} is missing, which its {INFO} lists. {REMEDY}")
