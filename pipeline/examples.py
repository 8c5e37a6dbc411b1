"""Examples of data that no run needs to have ingested: those of the state directory, or new ones for a while."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.components.statistics_gen.executor import Executor as StatisticsExecutor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.orchestration.portable.mlmd import context_lib, execution_lib
from tfx.types import Artifact, artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.types.standard_artifacts import Examples, ExampleStatistics

from components.ingest import statistics
from components.ingest.example_gen import ImageDriver, ImageExampleGen, ImageExecutor
from components.ingest.shapes import recorded_shape
from pipeline.beam.arguments import BEAM_ARGS
from pipeline.beam.operator import own_temporary_folder
from pipeline.drift import asked_of
from pipeline.settings import PipelineConfig
from pipeline.state.cache import key
from pipeline.state.database import sqlite_connection
from pipeline.state.lineage import artifacts_of
from pipeline.state.metadata import Metadata
from trainer.errors import UserError
from trainer.schema import SettingError
from trainer.shape import THEIRS, Shape
from trainer.storage.quarantine import damage

log = logging.getLogger(__name__)


@contextlib.contextmanager
def examples_of(config: PipelineConfig, shape: Shape | None = None) -> Iterator[Artifact]:
    """Yields the Examples of the data that `config` names, with images of `shape` if one is given.

    They are those that a run with these settings would reuse from the state directory. If there are none,
    ImageExampleGen makes them in a temporary folder, which is then removed.

    Raises:
      UserError: ImageExampleGen refuses the data, or the images have another shape.
      SettingError: a setting does not fit the data, or they are a pattern of spans.
    """
    if config.has_spans:
        raise SettingError("data", "the path of one span", config.data)
    if shape and config.image_shape not in (THEIRS, str(shape)):
        raise _other_shape(config.image_shape, shape)
    properties = _properties(config)
    with own_temporary_folder():
        examples = _recorded(config, properties)
        if examples is None:
            log.info("ingesting %s into a temporary folder", config.source)
            examples = _ingested(properties)
        if shape and (found := recorded_shape(examples)) != shape:
            raise _other_shape(str(found), shape)
        yield examples


def statistics_of(examples: Artifact) -> Artifact:
    """Makes statistics of `examples` in a new temporary folder."""
    made = ExampleStatistics()
    made.uri = tempfile.mkdtemp(prefix="statistics-")
    executor = StatisticsExecutor(_context())
    asked = {specs.STATS_OPTIONS_JSON_KEY: statistics.options().to_json()}
    executor.Do({specs.EXAMPLES_KEY: [examples]}, {specs.STATISTICS_KEY: [made]}, asked)
    return made


def folders_of(examples: Artifact, split: str) -> list[str]:
    """Returns the folders of `split`."""
    return artifact_utils.get_split_uris([examples], split)


def _properties(config: PipelineConfig) -> dict[str, Any]:
    """Returns the execution properties of ImageExampleGen, which also decide on its cache key."""
    node = ImageExampleGen(asked_of(config))
    given = {name: value for name, value in node.exec_properties.items() if value is not None}  # TFX drops the others
    return ImageDriver(None).resolve_exec_properties(given)


def _recorded(config: PipelineConfig, properties: dict[str, Any]) -> Artifact | None:
    """Returns the newest intact Examples in the state directory that a run with `properties` would reuse."""
    if not os.path.exists(config.metadata):
        return None
    with Metadata(sqlite_connection(config.metadata), config.root) as handle:
        name = key(config.name, "ImageExampleGen", {}, properties)
        context = handle.store.get_context_by_type_and_name(context_lib.CONTEXT_TYPE_EXECUTION_CACHE, name)
        found = handle.store.get_executions_by_context(context.id) if context else []
        done = [execution for execution in found if execution_lib.is_execution_successful(execution)]
        for execution in execution_lib.sort_executions_newest_to_oldest(done):
            (examples,) = artifacts_of(handle.store, execution, mlmd.Event.OUTPUT)[specs.EXAMPLES_KEY]
            if examples.mlmd_artifact.state == mlmd.Artifact.LIVE and not damage(examples.uri):
                return examples
    return None


def _ingested(properties: dict[str, Any]) -> Artifact:
    examples = Examples()
    examples.uri = tempfile.mkdtemp(prefix="examples-")
    ImageExecutor(_context()).Do({}, {specs.EXAMPLES_KEY: [examples]}, properties)
    return examples


def _context() -> BaseBeamExecutor.Context:
    return BaseBeamExecutor.Context(beam_pipeline_args=[*BEAM_ARGS], tmp_dir=tempfile.mkdtemp())


def _other_shape(found: str, shape: Shape) -> UserError:
    remedy = f"Crop and resize the images with --image-shape {shape}, or name a model of their shape"
    return UserError("the images have another shape than the model's", valid=str(shape), value=found, remedy=remedy)
