"""ImageExampleGen: turns images of any source into TFX Examples, and checks each image."""

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf
from google.protobuf import json_format, struct_pb2
from tfx.components.example_gen import base_example_gen_executor, component, driver, utils
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import proto_utils

from components.artifacts import Artifacts
from components.ingest import duplicates, unreadable
from components.ingest.datasets import prepared_builder
from components.ingest.decoding import decoded, shape_of_images
from components.ingest.duplicates import Key
from components.ingest.fitting import fitted
from components.ingest.numbers import image_numbers
from components.ingest.own_data import open_data, source_of
from components.ingest.prepared import Shard
from components.ingest.records import Fault
from components.ingest.shapes import record_shape
from components.ingest.source import PreparedSource, Source, fields_of
from components.ingest.splits import SPLITS, TEST, TRAIN, Parts, is_test, parts_of
from trainer.errors import ReportedError
from trainer.failure import FILE, leave, left
from trainer.schema import SettingError
from trainer.shape import THEIRS, Shape

FAULTS = "faults"  # Beam's tag of what is no image


class Asked(NamedTuple):
    """What a run asks for, in settings of `PipelineConfig`."""

    dataset: str
    data: str | None  # path of data of the user's own, which take the place of `dataset`
    data_dirs: list[str]  # folders of prepared data sets, searched in order; a new one is prepared in the last
    manual_dir: str | None  # folder with the data set's archive, for a machine that cannot download it
    splits: str | None
    test_share: float
    image_shape: str  # that every image is cropped and resized to, such as 64x64x3; or `data`, the images' own
    max_unreadable: float
    allow_shared_images: bool
    min_label_elbo: float | None = None  # needs labels


class ImageDriver(driver.Driver):
    """Driver that finds or prepares the data; their content and what becomes of it decide on the cache."""

    def resolve_exec_properties(self, exec_properties: dict[str, Any], *_: Any) -> dict[str, Any]:
        """Replaces what was asked for by the source that was found, its parts and the fingerprint of their content.

        Only `input_base` holds a path, so the same data found elsewhere have the same cache key.

        Raises:
          UserError: there are no such data.
          SettingError: a setting does not fit them.
        """
        asked = Asked(**_unpack(exec_properties[specs.CUSTOM_CONFIG_KEY]))
        source, parts = _found(asked)
        settings: dict[str, Any] = {
            "source": fields_of(source),
            "parts": parts,
            "image_shape": asked.image_shape,
            "max_unreadable": asked.max_unreadable,
            "allow_shared_images": asked.allow_shared_images,
        }
        if TEST not in parts:
            settings["test_share"] = asked.test_share
        exec_properties[specs.INPUT_BASE_KEY] = source.location
        exec_properties[specs.CUSTOM_CONFIG_KEY] = proto_utils.proto_to_json(_pack(settings))
        exec_properties[utils.SPAN_PROPERTY_NAME] = 0
        exec_properties[utils.VERSION_PROPERTY_NAME] = None
        used = [part for names in parts.values() for part in names]
        exec_properties[utils.FINGERPRINT_PROPERTY_NAME] = source.fingerprint(used)
        return exec_properties


class ImageExecutor(base_example_gen_executor.BaseExampleGenExecutor):
    """Executor that reads the source piece by piece, and leaves encoded images unchanged."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Writes the Examples, then checks what Beam found and records it in the artifact.

        Raises:
          UserError: too many images are unreadable, a split has none, an id is repeated, or a test image is also in
            train and that is not allowed.
        """
        examples = artifact_utils.get_single_instance(output_dict[specs.EXAMPLES_KEY])
        self._folder = examples.uri
        settings = _unpack(exec_properties[specs.CUSTOM_CONFIG_KEY])
        self._source = source_of(location=exec_properties[specs.INPUT_BASE_KEY], **settings["source"])
        self._shape = _shape(self._source, settings["parts"][TRAIN], settings["image_shape"])
        try:
            super().Do(input_dict, output_dict, exec_properties)
        except Exception as error:  # Beam returns a worker's error as text only
            if failure := left(os.path.join(self._folder, FILE)):
                raise ReportedError.of(failure) from error
            raise
        images = unreadable.check(examples, settings["max_unreadable"])
        record_shape(examples, self._shape)
        duplicates.check(examples, images[TEST], settings["allow_shared_images"])

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        """Is unused, because `GenerateExamplesByBeam` needs both splits at once."""
        raise NotImplementedError

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Returns the serialized Examples of each split.

        Raises (when the pipeline runs):
          UserError: a file is damaged.
        """
        settings = _unpack(exec_properties[specs.CUSTOM_CONFIG_KEY])
        reader = _Reader(self._source, self._shape, fit=settings["image_shape"] != THEIRS)
        images, faults = {}, []
        for split, parts in settings["parts"].items():
            read = self._read(pipeline, reader, split, parts)
            images[split] = read[None]
            faults.append(read[FAULTS])
        if TEST not in images:
            images[TRAIN], images[TEST] = images[TRAIN] | "Side" >> beam.Partition(_side, 2, settings["test_share"])
        unreadable.find(faults | "Faults" >> beam.Flatten(), images, self._folder)
        keys = {split: items | f"Keys[{split}]" >> beam.Map(lambda item: item[0]) for split, items in images.items()}
        duplicates.find(keys[TRAIN], keys[TEST], self._folder)
        return {
            split: items | f"Examples[{split}]" >> beam.Map(lambda item: item[1]) for split, items in images.items()
        }

    def _read(self, pipeline: beam.Pipeline, reader: "_Reader", split: str, parts: list[str]) -> Any:
        """Returns key and serialized Example of each image of the parts, and apart from them the texts of faults."""
        return (
            pipeline
            | f"Parts[{split}]" >> beam.Create(parts)
            | f"Shards[{split}]" >> beam.FlatMap(_guarded, reader.source.shards, self._folder)
            | f"Spread[{split}]" >> beam.Reshuffle()
            | f"Read[{split}]" >> beam.FlatMap(_guarded, reader, self._folder).with_outputs(FAULTS)
        )


class ImageExampleGen(component.FileBasedExampleGen):
    """Ingestion of images of one shape, in the splits train and test.

    Examples have the features `image` (encoded as stored, or as PNG if it was resized), `id`, the numbers of
    `components.ingest.numbers` and, if the data have labels, `label`, a text.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ImageExecutor)
    DRIVER_CLASS = ImageDriver

    def __init__(self, asked: Asked) -> None:
        super().__init__(
            input_base="resolved by the driver",
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name=split, pattern="as the source says") for split in SPLITS]
            ),
            custom_config=_pack(asked._asdict()),
        )


def _found(asked: Asked) -> tuple[Source, Parts]:
    """Returns the source that was asked for, and the parts of each split."""
    source: Source
    if asked.data:
        source = open_data(asked.data, asked.splits)
    else:
        builder = prepared_builder(asked.dataset, asked.data_dirs, asked.manual_dir, asked.splits)
        source = PreparedSource(str(builder.data_path))
    if asked.min_label_elbo is not None and not source.labelled:
        raise SettingError("min_label_elbo", "none, because the data have no labels", asked.min_label_elbo)
    return source, parts_of(asked.splits, source.parts, source.location)


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


def _shape(source: Source, parts: list[str], wanted: str) -> Shape:
    """Returns the shape that was asked for, or that of the first image of `parts`."""
    if wanted != THEIRS:
        return Shape.parse(wanted)
    return shape_of_images(batch for part in parts for shard in source.shards(part) for batch in source.read(shard))


def _guarded(item: Any, function: Callable[[Any], Iterator[Any]], output: str) -> Iterator[Any]:
    """Yields what `function` makes of `item`; leaves a failure in the folder `output`."""
    try:
        yield from function(item)
    except ReportedError as error:
        leave(error.failure, os.path.join(output, FILE))
        raise


class _Reader(NamedTuple):
    """A function that Beam can send to its workers."""

    source: Source
    shape: Shape
    fit: bool  # whether images of other shapes are cropped and resized

    def __call__(self, shard: Shard) -> Iterator[tuple[Key, bytes] | beam.pvalue.TaggedOutput]:
        """Yields key and serialized Example of each image in the shard, and the texts of faults."""
        for batch in self.source.read(shard):
            if isinstance(batch, Fault):
                yield beam.pvalue.TaggedOutput(FAULTS, batch.text)
                continue
            if self.fit:
                batch = fitted(batch, self.shape)
            found = list(decoded(batch, shard, self.shape))
            yield from (beam.pvalue.TaggedOutput(FAULTS, fault.text) for fault in found if isinstance(fault, Fault))
            if sound := [image for image in found if not isinstance(image, Fault)]:
                numbers = image_numbers(np.stack([pixels for _, pixels in sound]), [batch.images[i] for i, _ in sound])
            for row, (i, pixels) in enumerate(sound):
                digest = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
                label = None if batch.labels is None else batch.labels[i]
                of_image = {name: column[row] for name, column in numbers.items()}
                yield (digest, batch.ids[i]), _example(batch.images[i], label, batch.ids[i], of_image)


def _side(item: tuple[Key, bytes], _: int, share: float) -> int:
    return int(is_test(item[0][0], share))


def _example(image: bytes, label: bytes | None, name: bytes, numbers: dict[str, np.float32]) -> bytes:
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name])),
    }
    for number, value in numbers.items():
        features[number] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    if label is not None:
        features["label"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[label]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
