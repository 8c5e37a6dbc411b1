"""ImageExampleGen: turns images of any source into TFX Examples, and checks each image."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from google.protobuf import json_format, struct_pb2
from tfx.components.example_gen import component, driver, utils
from tfx.components.example_gen.write_split import to_file_format_str
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import proto_utils

from components.artifacts import Artifacts
from components.ingest import duplicates, findings, unreadable
from components.ingest.datasets import prepared_builder
from components.ingest.decoding import shape_of_images
from components.ingest.own_data import open_data, source_of
from components.ingest.pieces import Piece, PieceWriter
from components.ingest.properties import SPAN, images_in
from components.ingest.shapes import record_shape
from components.ingest.source import PreparedSource, Source, fields_of
from components.ingest.spans import Span, check_parts, of_json
from components.ingest.splits import SPLITS, TEST, TRAIN, Parts, parts_of, used_parts
from components.ingest.unchanged import FILES, Listing, listing, unchanged
from components.ingest.writing import write_empty
from trainer.errors import ReportedError
from trainer.failure import FILE, leave, left
from trainer.schema import SettingError
from trainer.shape import THEIRS, Shape


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
    span_marker: str | None = None  # file in a span that is no data
    min_label_elbo: float | None = None  # needs labels


class ImageDriver(driver.Driver):
    """Driver that finds or prepares the data; their content and what becomes of it decide on the cache."""

    def resolve_exec_properties(self, exec_properties: dict[str, Any], *_: Any) -> dict[str, Any]:
        """Replaces what was asked for by the source that was found, its parts and the fingerprint of their content.

        Only `input_base` and `files` say where and when, so the same data found elsewhere have the same cache key.

        Raises:
          UserError: there are no such data.
          SettingError: a setting does not fit them.
        """
        packed = _unpack(exec_properties[specs.CUSTOM_CONFIG_KEY])
        span = of_json(packed.pop(SPAN))
        asked = Asked(**packed)
        source, parts = _found(asked, span)
        settings: dict[str, Any] = {
            "source": fields_of(source),
            "parts": parts,
            "image_shape": asked.image_shape,
            "max_unreadable": asked.max_unreadable,
            "allow_shared_images": asked.allow_shared_images,
        }
        if span:
            settings[SPAN] = span.name
        if TEST not in parts:
            settings["test_share"] = asked.test_share
        exec_properties[specs.INPUT_BASE_KEY] = source.location
        exec_properties[specs.CUSTOM_CONFIG_KEY] = proto_utils.proto_to_json(_pack(settings))
        exec_properties[utils.SPAN_PROPERTY_NAME] = span.number if span else 0
        exec_properties[utils.VERSION_PROPERTY_NAME] = span.version if span else None
        used = used_parts(parts)
        exec_properties[FILES] = json.dumps(listing(source, used))
        exec_properties[utils.FINGERPRINT_PROPERTY_NAME] = source.fingerprint(used)
        return exec_properties


class ImageExecutor(base_beam_executor.BaseBeamExecutor):
    """Executor that reads and writes the images piece by piece, and leaves encoded images unchanged.

    The same data give the same files, whatever the engine, its workers and its attempts at a piece.
    """

    def Do(self, _: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Writes the Examples, then checks what the workers found and records it in the artifact.

        Raises:
          ReportedError: the files changed since the driver listed them.
          UserError: a file is damaged, too many images are unreadable, a split has none, an id is repeated, or a test
            image is also in train and that is not allowed.
        """
        examples = artifact_utils.get_single_instance(output_dict[specs.EXAMPLES_KEY])
        settings = _unpack(exec_properties[specs.CUSTOM_CONFIG_KEY])
        source = source_of(location=exec_properties[specs.INPUT_BASE_KEY], **settings["source"])
        fit, span = settings["image_shape"] != THEIRS, settings.get(SPAN)
        prefix = os.fsencode(f"{span}/") if span else b""
        findings.prepare(examples.uri)
        with unchanged(source, used_parts(settings["parts"]), Listing(*json.loads(exec_properties[FILES]))):
            shape = _shape(source, settings["parts"][TRAIN], settings["image_shape"])
            writer = PieceWriter(source, shape, fit, settings.get("test_share"), examples.uri, prefix)
            self._write(settings["parts"], writer)
        unreadable.check(examples, settings["max_unreadable"], one_split=bool(span))
        if span:
            examples.set_string_custom_property(SPAN, span)
            for split in SPLITS:
                if not images_in(examples, split):
                    write_empty(examples.uri, split)
        duplicates.check(examples, settings["allow_shared_images"])
        findings.remove(examples.uri)
        record_shape(examples, shape)
        examples.split_names = artifact_utils.encode_split_names([*SPLITS])
        examples_utils.set_payload_format(examples, exec_properties[specs.OUTPUT_DATA_FORMAT_KEY])
        examples_utils.set_file_format(examples, to_file_format_str(exec_properties[specs.OUTPUT_FILE_FORMAT_KEY]))

    def _write(self, parts: Parts, writer: PieceWriter) -> None:
        """Writes the Examples. Only the names of files cross from one worker to another."""
        numbered = enumerate((split, part) for split in SPLITS for part in parts.get(split, ()))
        try:
            with self._make_beam_pipeline() as pipeline:
                _ = (
                    pipeline
                    | "Parts" >> beam.Create([(number, *named) for number, named in numbered])
                    | "Pieces" >> beam.FlatMap(_pieces, writer.source, writer.examples)
                    | "Spread" >> beam.Reshuffle()
                    | "Write" >> beam.Map(_write_piece, writer)
                )
        except Exception as error:  # Beam returns a worker's error as text only
            if failure := left(os.path.join(writer.examples, FILE)):
                raise ReportedError.of(failure) from error
            raise


class ImageExampleGen(component.FileBasedExampleGen):
    """Ingestion of images of one shape, in the splits train and test.

    Examples have the features `image` (encoded as stored, or as PNG if it was resized), `id`, the numbers of
    `components.ingest.numbers` and, if the data have labels, `label`, a text.

    Args:
      asked: what the run asks for.
      span: the span to ingest, whose path takes the place of the data's; its name starts the ids. None: no spans.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ImageExecutor)
    DRIVER_CLASS = ImageDriver

    def __init__(self, asked: Asked, span: Span | None = None) -> None:
        if span:
            asked = asked._replace(data=span.path)
        super().__init__(
            input_base="resolved by the driver",
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name=split, pattern="as the source says") for split in SPLITS]
            ),
            custom_config=_pack({**asked._asdict(), SPAN: span and span._asdict()}),
        )


def _found(asked: Asked, span: Span | None) -> tuple[Source, Parts]:
    """Returns the source that was asked for, and the parts of each split."""
    source: Source
    if asked.data:
        source = open_data(asked.data, asked.splits, asked.span_marker)
    else:
        builder = prepared_builder(asked.dataset, asked.data_dirs, asked.manual_dir, asked.splits)
        source = PreparedSource(str(builder.data_path))
    if asked.min_label_elbo is not None and not source.labelled:
        raise SettingError("min_label_elbo", "none, because the data have no labels", asked.min_label_elbo)
    parts = parts_of(asked.splits, source.parts, source.location)
    if span:
        check_parts(span, parts)
    return source, parts


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


def _pieces(item: tuple[int, str, str], source: Any, examples: str) -> Iterator[Piece]:  # Beam checks no Protocol
    """Yields the pieces of a part, with names in the order of the data."""
    number, split, part = item
    with _leaving(examples):
        for i, shard in enumerate(source.shards(part)):
            yield Piece(f"{number:03d}-{i:06d}", split, shard)


def _write_piece(piece: Piece, writer: PieceWriter) -> None:
    with _leaving(writer.examples):
        writer(piece)


@contextlib.contextmanager
def _leaving(folder: str) -> Iterator[None]:
    """Leaves a failure of a worker in `folder`."""
    try:
        yield
    except ReportedError as error:
        leave(error.failure, os.path.join(folder, FILE))
        raise
