"""ImageExampleGen: turns a TFDS image classification data set into TFX Examples, and checks each image."""

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format, struct_pb2
from tfx.components.example_gen import base_example_gen_executor, component, driver, utils
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import proto_utils

from components.artifacts import Artifacts
from components.ingest import duplicates
from components.ingest.datasets import SPLITS, prepared_builder
from components.ingest.decoding import decode_batch, shape_of_images
from components.ingest.duplicates import Key
from components.ingest.fitting import fitted
from components.ingest.prepared import Shard, content_fingerprint, open_prepared, shards
from components.ingest.records import read_batches
from components.ingest.shapes import record_shape
from trainer.errors import ReportedError
from trainer.failure import FILE, leave, left
from trainer.shape import THEIRS, Shape


class ImageDriver(driver.Driver):
    """Driver that finds or prepares the data set; its name, version and content decide on the cache."""

    def resolve_exec_properties(self, exec_properties: dict[str, Any], *_: Any) -> dict[str, Any]:
        """Replaces the folders to search by the data set's folder and the fingerprint of its content.

        Only `input_base` holds a path, so the same data found elsewhere have the same cache key.
        """
        source = _unpack(exec_properties[specs.CUSTOM_CONFIG_KEY])
        builder = prepared_builder(source["dataset"], source["data_dirs"], source["manual_dir"])
        settings = {name: source[name] for name in ("image_shape", "allow_shared_images")}
        exec_properties[specs.INPUT_BASE_KEY] = str(builder.data_path)
        exec_properties[specs.CUSTOM_CONFIG_KEY] = proto_utils.proto_to_json(_pack(settings))
        exec_properties[utils.SPAN_PROPERTY_NAME] = 0
        exec_properties[utils.VERSION_PROPERTY_NAME] = None
        exec_properties[utils.FINGERPRINT_PROPERTY_NAME] = content_fingerprint(builder, SPLITS)
        return exec_properties


class ImageExecutor(base_example_gen_executor.BaseExampleGenExecutor):
    """Executor that reads the prepared data set shard by shard, and leaves encoded images unchanged."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Writes the Examples, checks for duplicates, and records their number and the shape of the images.

        Raises:
          UserError: an image is bad or has another shape, an id is repeated, or a test image is also in train and that
            is not allowed.
        """
        examples = artifact_utils.get_single_instance(output_dict[specs.EXAMPLES_KEY])
        self._folder = examples.uri
        try:
            super().Do(input_dict, output_dict, exec_properties)
        except Exception as error:  # Beam returns a worker's error as text only
            if failure := left(os.path.join(self._folder, FILE)):
                raise ReportedError.of(failure) from error
            raise
        builder = open_prepared(exec_properties[specs.INPUT_BASE_KEY])
        settings = _unpack(exec_properties[specs.CUSTOM_CONFIG_KEY])
        record_shape(examples, _shape(builder, settings["image_shape"]))
        duplicates.check(examples, builder.info.splits["test"].num_examples, settings["allow_shared_images"])

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        """Is unused, because `GenerateExamplesByBeam` needs both splits at once."""
        raise NotImplementedError

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Returns the serialized Examples of each split.

        Raises (when the pipeline runs):
          UserError: a record cannot be read, or an image cannot be decoded, has another shape, or has 16 bits.
        """
        folder = exec_properties[specs.INPUT_BASE_KEY]
        builder = open_prepared(folder)
        wanted = _unpack(exec_properties[specs.CUSTOM_CONFIG_KEY])["image_shape"]
        shape = _shape(builder, wanted)
        checked = {
            split: pipeline
            | f"Shards[{split}]" >> beam.Create(shards(builder, split))
            | f"Read[{split}]" >> beam.FlatMap(_checked_examples, shape, wanted != THEIRS, folder, self._folder)
            for split in SPLITS
        }
        keys = {split: items | f"Keys[{split}]" >> beam.Map(lambda item: item[0]) for split, items in checked.items()}
        duplicates.find(keys["train"], keys["test"], self._folder)
        return {
            split: items | f"Examples[{split}]" >> beam.Map(lambda item: item[1]) for split, items in checked.items()
        }


class ImageExampleGen(component.FileBasedExampleGen):
    """Ingestion of a TFDS image classification data set with TFDS's splits train and test and images of one shape.

    Examples have the features `image` (encoded as stored, or as PNG if it was resized), `label` and `id`.

    Args:
      dataset: TFDS's name of the data set.
      data_dirs: folders of prepared data sets, searched in order; a data set in none of them is prepared in the last.
      manual_dir: folder with its archive, for a machine that cannot download it.
      image_shape: that every image is cropped and resized to, such as 64x64x3; or `data`, the images' own.
      allow_shared_images: whether test images may also be training images; `duplicates.shared_images` counts them.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ImageExecutor)
    DRIVER_CLASS = ImageDriver

    def __init__(
        self,
        dataset: str,
        data_dirs: list[str],
        manual_dir: str | None,
        image_shape: str,
        allow_shared_images: bool,
    ) -> None:
        source = {"dataset": dataset, "data_dirs": data_dirs, "manual_dir": manual_dir, "image_shape": image_shape}
        super().__init__(
            input_base="resolved by the driver",
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name=split, pattern="as TFDS says") for split in SPLITS]
            ),
            custom_config=_pack({**source, "allow_shared_images": allow_shared_images}),
        )


def _pack(source: dict[str, Any]) -> example_gen_pb2.CustomConfig:
    struct, config = struct_pb2.Struct(), example_gen_pb2.CustomConfig()
    struct.update(source)
    config.custom_config.Pack(struct)
    return config


def _unpack(config_json: str) -> dict[str, Any]:
    struct, config = struct_pb2.Struct(), example_gen_pb2.CustomConfig()
    proto_utils.json_to_proto(config_json, config)
    config.custom_config.Unpack(struct)
    return json_format.MessageToDict(struct)


def _shape(builder: tfds.core.DatasetBuilder, wanted: str) -> Shape:
    return shape_of_images(builder, "train") if wanted == THEIRS else Shape.parse(wanted)


def _checked_examples(shard: Shard, shape: Shape, fit: bool, folder: str, output: str) -> Iterator[tuple[Key, bytes]]:
    """Yields key and serialized Example of each image in the shard; leaves a failure in the folder `output`."""
    try:
        for batch in read_batches(shard, open_prepared(folder).info.features):
            batch = fitted(batch, shape) if fit else batch
            decoded = decode_batch(batch, shard, shape)
            for pixels, image, label, name in zip(decoded, batch.images, batch.labels, batch.ids, strict=True):
                digest = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
                yield (digest, name), _example(image, int(label), name)
    except ReportedError as error:
        leave(error.failure, os.path.join(output, FILE))
        raise


def _example(image: bytes, label: int, name: bytes) -> bytes:
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
