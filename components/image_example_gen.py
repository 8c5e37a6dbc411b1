"""ImageExampleGen: any TFDS image classification data set as TFX Examples, checked image by image."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format, struct_pb2
from tfx.components.example_gen import base_example_gen_executor, component, driver, utils
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import standard_component_specs as specs
from tfx.utils import proto_utils

from components.datasets import SPLITS, base_name, prepared_builder
from trainer.errors import UserError
from trainer.images import IMAGE_SHAPE, decode

READ_BATCH = 256


class ImageDriver(driver.FileBasedDriver):
    """Finds or prepares the data set; its name, version and files are the fingerprint that the cache goes by."""

    def resolve_exec_properties(self, exec_properties: dict[str, Any], *args: Any) -> dict[str, Any]:
        """Puts the prepared data set and its fingerprint in the place of where to look for it.

        What is left is the key of the cache: found by another way, the same data are the same.
        """
        source = _unpack(exec_properties[specs.CUSTOM_CONFIG_KEY])
        builder = prepared_builder(source["dataset"], source["data_dirs"], source["manual_dir"])
        exec_properties[specs.INPUT_BASE_KEY] = str(builder.data_path)
        exec_properties[specs.CUSTOM_CONFIG_KEY] = proto_utils.proto_to_json(_pack({"code": source["code"]}))
        exec_properties = super().resolve_exec_properties(exec_properties, *args)
        files = exec_properties[utils.FINGERPRINT_PROPERTY_NAME]
        exec_properties[utils.FINGERPRINT_PROPERTY_NAME] = f"{builder.info.full_name},{files}"
        return exec_properties


class ImageExecutor(base_example_gen_executor.BaseExampleGenExecutor):
    """Reads the prepared data set shard by shard; encoded images pass through as they are."""

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        """Not used: `GenerateExamplesByBeam` needs both splits at once."""
        raise NotImplementedError

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Serialized Examples of each split.

        Raises (when the pipeline runs):
          UserError: an image that cannot be decoded or has another shape, or a test image that is also in train.
        """
        builder = tfds.builder_from_directory(exec_properties[specs.INPUT_BASE_KEY])
        checked = {
            split: pipeline
            | f"Read[{split}]"
            >> tfds.beam.ReadFromTFDS(
                builder,
                split=split,
                batch_size=READ_BATCH,
                decoders={"image": tfds.decode.SkipDecoding()},
                read_config=tfds.ReadConfig(add_tfds_id=True),
            )
            | f"Check[{split}]" >> beam.FlatMap(_checked_examples)
            for split in SPLITS
        }
        test_digests = checked["test"] | "TestDigests" >> beam.Map(lambda item: (item[0], item[1]))
        train = checked["train"] | "NotInTest" >> beam.Map(_refuse_if_seen, beam.pvalue.AsDict(test_digests))
        return {"train": train, "test": checked["test"] | "TestExamples" >> beam.Map(lambda item: item[2])}


class ImageExampleGen(component.FileBasedExampleGen):
    """Ingests a TFDS image classification data set of 32x32x3 images, with TFDS's splits train and test.

    Examples have the features `image` (encoded bytes as they are stored), `label` and `id`.

    Args:
      dataset: name of the data set, as TFDS writes it.
      data_dirs: where to look for it, in order; it is prepared in the last if none has it.
      manual_dir: folder with its archive, for a machine that cannot download it.
      code: fingerprint of the sources behind this component; an edit makes the cache miss.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ImageExecutor)
    DRIVER_CLASS = ImageDriver

    def __init__(self, dataset: str, data_dirs: list[str], manual_dir: str | None, code: str) -> None:
        name = base_name(dataset)
        source = {"dataset": dataset, "data_dirs": data_dirs, "manual_dir": manual_dir, "code": code}
        super().__init__(
            input_base="resolved by the driver",
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name=split, pattern=f"{name}-{split}.*") for split in SPLITS]
            ),
            custom_config=_pack(source),
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


def _checked_examples(batch: dict[str, tf.Tensor]) -> Iterator[tuple[bytes, str, bytes]]:
    """(digest of the pixels, id, serialized Example) of each image in the batch."""
    batch = tfds.as_numpy(batch)
    ids = [name.decode() for name in batch.get("id", batch["tfds_id"])]
    for pixels, name, image, label in zip(
        _decoded(batch["image"], ids), ids, batch["image"], batch["label"], strict=True
    ):
        yield hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), name, _example(image, int(label), name)


_decode_batch = tf.function(decode, input_signature=[tf.TensorSpec([None], tf.string)])


def _decoded(images: np.ndarray, ids: list[str]) -> np.ndarray:
    """Pixels of the batch, [B, 32, 32, 3]; names the image that has none."""
    try:
        return _decode_batch(images).numpy()
    except tf.errors.InvalidArgumentError:
        for image, name in zip(images, ids, strict=True):
            _check_image(image, name)
        raise


def _check_image(image: bytes, name: str) -> None:
    try:
        shape = tuple(tf.io.decode_image(image, expand_animations=False).shape)
    except tf.errors.InvalidArgumentError as error:
        why = re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", error.message).strip(" .")
        raise UserError(
            f"image {name} cannot be decoded: expected a whole PNG, JPEG or BMP, got {len(image)} bytes ({why}). "
            "Repair or remove it and prepare the data set again"
        ) from error
    if shape != IMAGE_SHAPE:
        raise UserError(
            f"image {name}: expected the shape {IMAGE_SHAPE}, got {shape}. "
            "Repair or remove it and prepare the data set again"
        )


def _example(image: bytes, label: int, name: str) -> bytes:
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def _refuse_if_seen(item: tuple[bytes, str, bytes], test: dict[bytes, str]) -> bytes:
    digest, name, example = item
    if digest in test:
        raise UserError(
            f"the test image {test[digest]} is also the training image {name}, pixel by pixel: the test-set ELBO "
            "would not tell how the model does on new images. Remove one of them and prepare the data set again"
        )
    return example
