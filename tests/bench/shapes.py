"""Ingestion and training of images of several shapes, in turns, against CIFAR-10's shape."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts
from tfx.types import standard_component_specs as specs

from components.ingest.example_gen import Asked, ImageDriver, ImageExampleGen, ImageExecutor
from pipeline.beam.arguments import BEAM_ARGS
from pipeline.settings import PipelineConfig
from tests.bench import ours
from tests.bench.data import SHAPE
from tests.bench.rounds import Contestant, interleave, measurer, ratio
from tests.bench.rows import Row
from trainer.images import ImageSet
from trainer.presets import PRESETS
from trainer.shape import Shape

SHAPES = (SHAPE, Shape(28, 28, 1), Shape(32, 64, 3), Shape(64, 64, 3))
CONFIG = PRESETS["mlp"]
IMAGES = 4096  # of each shape
ROUNDS = 5
PHOTOGRAPHS = ("china.jpg", "flower.jpg")  # in scikit-learn


def rows() -> list[Row]:
    """Measures two rows for each shape, per second of the processor; each ratio is one of the same round."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        contestants = [one for shape in SHAPES for one in _contestants(shape, os.path.join(folder, str(shape)))]
        rates = interleave(contestants, ROUNDS)
    found = []
    for i, (contestant, measured) in enumerate(zip(contestants, rates, strict=True)):
        more = {
            "images_per_cpu_second": statistics.median(measured),
            f"of_{SHAPES[0]}": ratio(measured, rates[i % 2]),
        }
        found.append(Row(contestant.name, contestant.batch_size, more=more))
    return found


def _contestants(shape: Shape, folder: str) -> Iterator[Contestant]:
    images = patches(IMAGES, shape)
    yield Contestant(f"ingestion, {shape}", None, measurer(_ingestions(images, folder), time.process_time))
    training = ours.train(CONFIG, images)
    yield Contestant(f"training, {shape}", CONFIG.batch_size, measurer(training, time.process_time))


def patches(count: int, shape: Shape) -> ImageSet:
    """Cuts images with 1 or 3 channels out of photographs; grey is their green."""
    from sklearn import datasets

    rng = np.random.default_rng(0)
    photographs = [datasets.load_sample_image(name) for name in PHOTOGRAPHS]
    pixels = np.empty([count, *shape], np.uint8)
    for i in range(count):
        photograph = photographs[i % len(photographs)]
        top = rng.integers(photograph.shape[0] - shape.height + 1)
        left = rng.integers(photograph.shape[1] - shape.width + 1)
        patch = photograph[top : top + shape.height, left : left + shape.width]
        pixels[i] = patch[..., 1:2] if shape.channels == 1 else patch
    return ImageSet(pixels, np.arange(count, dtype=np.int64))


def _ingestions(images: ImageSet, folder: str) -> Iterator[int]:
    """Fingerprints and ingests a file of the images as PNG again and again; yields their number."""
    data, scratch = os.path.join(folder, "data"), os.path.join(folder, "scratch")
    for path in (data, scratch):
        os.makedirs(path)
    with tf.io.TFRecordWriter(os.path.join(data, "images.tfrecord")) as writer:
        for pixels in images.pixels:
            png = tf.train.BytesList(value=[tf.io.encode_png(pixels).numpy()])
            features = tf.train.Features(feature={"image": tf.train.Feature(bytes_list=png)})
            writer.write(tf.train.Example(features=features).SerializeToString())
    settings = {name: getattr(PipelineConfig(), name) for name in Asked._fields} | {"data": data, "data_dirs": []}
    asked = ImageExampleGen(Asked(**settings)).exec_properties
    context = BaseBeamExecutor.Context(beam_pipeline_args=[*BEAM_ARGS], tmp_dir=scratch)
    while True:
        found = ImageDriver(None).resolve_exec_properties(dict(asked), {})
        examples = standard_artifacts.Examples()
        with tempfile.TemporaryDirectory(dir=folder) as examples.uri:
            ImageExecutor(context).Do({}, {specs.EXAMPLES_KEY: [examples]}, found)
        yield len(images)
