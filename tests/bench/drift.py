"""Drift: false alarms over random halves of the same images, and the sizes of shifts that are found.

A model is trained for the ELBO. All comparisons are of test images, which it has not seen; false alarms are also
counted over all images, without the ELBO. Histograms of equal shares are exact; a run has TFDV's estimates of them.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from scipy import ndimage
from tensorflow_metadata.proto.v0 import statistics_pb2

import components.ingest.photo_patches  # noqa: F401  registers the data set
from components.drift import chance
from components.drift.compare import ELBO, GAP, LABEL, Comparator, Figure, compare
from components.ingest.numbers import image_numbers
from components.ingest.statistics import QUANTILES
from pipeline.settings import PipelineConfig
from tests.bench.data import HAS_CIFAR10, PREPARED
from tests.bench.process import run_module
from tests.bench.rows import Row

SPLITS = 200  # random ones, of each size
SIZES = (50, 100, 500, 5000, 30_000)  # images of a side
ALLOWED = PipelineConfig(serving_data="none").drift_threshold
LOOSE = 0.05  # probability of a false alarm that is frequent enough to be counted
EPOCHS = {"photo_patches": 30, "cifar10": 3}
BATCH = 500

Columns = Mapping[str, np.ndarray]  # the value of each figure, [N]
Model = Callable[["Images"], Columns]  # of the figures that it gives


class Images(NamedTuple):
    """Images and their labels."""

    pixels: np.ndarray  # [N, H, W, C] uint8
    labels: np.ndarray  # [N]

    def take(self, rows: np.ndarray) -> "Images":
        """Copies the images with these indices."""
        return Images(self.pixels[rows], self.labels[rows])


class Shift(NamedTuple):
    """A way in which data change, by sizes."""

    name: str
    unit: str
    sizes: tuple[float, ...]
    apply: Callable[[Images, float, np.random.Generator], Images]


def rows() -> Iterator[Row]:
    """Yields the rows of the embedded data set, and those of CIFAR-10 if it is prepared."""
    for name in ("photo_patches", *(["cifar10"] if HAS_CIFAR10 else [])):
        with tempfile.TemporaryDirectory() as folder:
            train, test = _images(name, folder)
            model = _trained(train, test, EPOCHS[name], folder)
        everything = Images(*(np.concatenate(pair) for pair in zip(train, test, strict=True)))
        yield from false_alarms(f"{name}, all images", _columns(everything, None))
        yield from false_alarms(f"{name}, test images", _columns(test, model))
        yield from detections(name, test, model)


def false_alarms(name: str, columns: Columns) -> Iterator[Row]:
    """Yields, for each size, the random splits in which drift is found: as a run does, and by chance alone."""
    rng, count = np.random.default_rng(0), len(columns[LABEL])
    for size in [size for size in SIZES if 2 * size < count] + [count // 2]:
        alarms = {"as_configured": 0, "nothing_allowed": 0, "at_5_percent": 0}
        largest = 0.0
        for _ in range(SPLITS):
            order = rng.permutation(count)
            sides = [
                {key: column[part] for key, column in columns.items()}
                for part in (order[:size], order[size : 2 * size])
            ]
            alarms["as_configured"] += bool(found(*sides, ALLOWED))
            alarms["nothing_allowed"] += bool(found(*sides, 0.0))
            with mock.patch.object(chance, "FALSE_ALARMS", LOOSE):
                alarms["at_5_percent"] += bool(found(*sides, 0.0))
            largest = max(largest, *(figure.divergence for figure in _compare(*sides, 0.0)))
        yield Row(f"{name}: {size:,} and {size:,}", more={"splits": SPLITS, **alarms, "largest_divergence": largest})


def detections(name: str, test: Images, model: Model) -> Iterator[Row]:
    """Yields, for each shift, its smallest size that is found, and the figures that find it."""
    rng = np.random.default_rng(1)
    order = rng.permutation(len(test.labels))
    half = len(order) // 2
    before, after = test.take(order[:half]), test.take(order[half:])
    reference = _columns(before, model)
    for shift in SHIFTS:
        for size in shift.sizes:
            changed = shift.apply(after, size, rng)
            current = _columns(changed, model)
            figures = found(current, reference, ALLOWED)
            if figures or size == shift.sizes[-1]:
                what = f"found at {size:g} {shift.unit}" if figures else f"not found at {size:g} {shift.unit}"
                yield Row(f"{name}, {len(changed.labels):,}: {shift.name}, {what}", more=figures)
                break


def found(current: Columns, reference: Columns, allowed: float) -> dict[str, float]:
    """Returns the divergence of each figure that drifted."""
    return {figure.name: figure.divergence for figure in _compare(current, reference, allowed) if figure.drifted}


def _compare(current: Columns, reference: Columns, allowed: float) -> list[Figure]:
    return compare([_statistics(current)], [_statistics(reference)], Comparator.DRIFT, allowed)


def _statistics(columns: Columns) -> statistics_pb2.DatasetFeatureStatistics:
    """Returns the parts of TFDV's statistics that are compared."""
    made = statistics_pb2.DatasetFeatureStatistics()
    for name, column in columns.items():
        feature = made.features.add()
        feature.path.step.append(name)
        if name == LABEL:
            for label, count in zip(*np.unique(column, return_counts=True), strict=True):
                feature.string_stats.rank_histogram.buckets.add(label=str(label), sample_count=count)
            continue
        ranks = np.unique(np.linspace(0, len(column) - 1, QUANTILES + 1).astype(int))
        ordered = np.sort(column)[ranks]
        histogram = feature.num_stats.histograms.add(type=statistics_pb2.Histogram.QUANTILES)
        histogram.buckets.add(low_value=ordered[0], high_value=ordered[0], sample_count=1)
        for low, high, count in zip(ordered[:-1], ordered[1:], np.diff(ranks), strict=True):
            histogram.buckets.add(low_value=low, high_value=high, sample_count=count)
    return made


def _images(name: str, folder: str) -> list[Images]:
    """Returns the splits train and test."""
    data_dir = str(PREPARED.parents[1]) if name == "cifar10" else folder
    builder = tfds.builder(name, data_dir=data_dir)
    if name != "cifar10":
        builder.download_and_prepare()
    splits = [tfds.as_numpy(builder.as_dataset(split, batch_size=-1)) for split in ("train", "test")]
    return [Images(split["image"], split["label"]) for split in splits]


def _trained(train: Images, test: Images, epochs: int, folder: str) -> Model:
    """Trains the preset `smoke` and returns what gives the ELBO of images."""
    files = {split: os.path.join(folder, f"{split}.gz") for split in ("train", "test")}
    for path, images in zip(files.values(), (train, test), strict=True):
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for example in _serialized(images):
                writer.write(example)
    output = os.path.join(folder, "output")
    places = ("--train", files["train"], "--test", files["test"], "--output", output)
    run_module("trainer", *places, "--preset", "smoke", "--epochs", str(epochs))
    loaded = tf.saved_model.load(os.path.join(output, "model"))

    def columns(images: Images) -> Columns:
        examples = np.array(list(_serialized(images)), dtype=object)
        batches = [tf.constant(examples[first : first + BATCH]) for first in range(0, len(examples), BATCH)]
        found = [loaded.signatures["evaluate"](examples=batch) for batch in batches]
        elbo, ceiling = (np.concatenate([of[key].numpy() for of in found]) for key in ("elbo", "ceiling"))
        return {ELBO: elbo, GAP: ceiling - elbo}

    return columns


def _serialized(images: Images) -> Iterator[bytes]:
    for i, image in enumerate(_encoded(images)):
        features = {
            "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%d" % i])),
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        }
        yield tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _encoded(images: Images) -> Iterator[bytes]:
    for first in range(0, len(images.labels), BATCH):
        yield from tf.io.encode_png(images.pixels[first : first + BATCH]).numpy().tolist()


def _columns(images: Images, model: Model | None) -> Columns:
    columns = image_numbers(images.pixels, list(_encoded(images)))
    return {**columns, **(model(images) if model else {}), LABEL: images.labels}


def _pixels(change: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]) -> Callable:
    """Makes a shift of a function of float pixels [N, H, W, C]."""

    def apply(images: Images, size: float, rng: np.random.Generator) -> Images:
        changed = change(images.pixels.astype(np.float32), size, rng)
        return images._replace(pixels=np.clip(np.rint(changed), 0, 255).astype(np.uint8))

    return apply


def _mix(images: Images, size: float, rng: np.random.Generator) -> Images:
    """Draws images so that the first label has `size` percentage points more."""
    labels, counts = np.unique(images.labels, return_counts=True)
    wanted = counts / counts.sum()
    wanted[1:] *= (1 - wanted[0] - size / 100) / (1 - wanted[0])
    wanted[0] += size / 100
    most = int(np.min(counts / wanted))
    rows = [
        rng.choice(np.flatnonzero(images.labels == label), int(most * share), replace=False)
        for label, share in zip(labels, wanted, strict=True)
    ]
    return images.take(np.concatenate(rows))


def _blocks(pixels: np.ndarray, per_side: float, rng: np.random.Generator) -> np.ndarray:
    """Shuffles the blocks of each image, of which there are `per_side` squared."""
    count, height, width, channels = pixels.shape
    side = int(per_side)
    grid = pixels.reshape(count, side, height // side, side, width // side, channels).transpose(0, 1, 3, 2, 4, 5)
    flat = grid.reshape(count, side * side, height // side, width // side, channels)
    flat = np.stack([image[rng.permutation(side * side)] for image in flat])
    grid = flat.reshape(grid.shape).transpose(0, 1, 3, 2, 4, 5)
    return grid.reshape(pixels.shape)


def _blur(pixels: np.ndarray, sigma: float, _: np.random.Generator) -> np.ndarray:
    return ndimage.gaussian_filter(pixels, (0, sigma, sigma, 0), mode="nearest")


SHIFTS = (
    Shift("darker", "%", (1, 2, 3, 5, 7, 10, 15, 20, 30, 50), _pixels(lambda x, size, _: x * (1 - size / 100))),
    Shift("blurred", "pixels", (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7, 1.0, 2.0), _pixels(_blur)),
    Shift(
        "more noise",
        "grey levels",
        (0.5, 1, 2, 3, 4, 6, 8, 12, 16),
        _pixels(lambda x, size, rng: x + rng.normal(0, size, x.shape)),
    ),
    Shift("another class mix", "points", (2, 4, 6, 8, 10, 15, 20, 30, 40), _mix),
    Shift("upside down", "times", (1,), _pixels(lambda x, *_: x[:, ::-1])),
    Shift("red and blue swapped", "times", (1,), _pixels(lambda x, *_: x[..., ::-1])),
    Shift("quarters shuffled", "per side", (2,), _pixels(_blocks)),
    Shift("blocks shuffled", "per side", (4,), _pixels(_blocks)),
)
