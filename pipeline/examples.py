"""Examples of data that no run needs to have ingested: those of the state directory, or new ones for a while."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.types import Artifact, artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.types.standard_artifacts import Examples

from components.ingest.example_gen import Asked, ImageDriver, ImageExampleGen, ImageExecutor
from components.ingest.shapes import recorded_shape
from components.ingest.splits import SPLITS
from pipeline.beam.arguments import BEAM_ARGS
from pipeline.beam.operator import own_temporary_folder
from pipeline.settings import PipelineConfig
from pipeline.state.database import sqlite_connection
from pipeline.state.lineage import artifacts_of
from pipeline.state.metadata import Metadata
from trainer.errors import UserError
from trainer.shape import THEIRS, Shape
from trainer.storage.quarantine import damage

SAME = ("input_fingerprint", specs.CUSTOM_CONFIG_KEY)  # execution properties that decide what the Examples are


@contextlib.contextmanager
def examples_of(config: PipelineConfig, shape: Shape) -> Iterator[Artifact]:
    """Yields the Examples of the data that `config` names, with images of `shape`.

    They are those of an earlier run in the state directory if they are of the same content and settings. Otherwise
    ImageExampleGen makes them in a temporary folder, which is then removed.

    Raises:
      UserError: ImageExampleGen refuses the data, or the images have another shape.
      SettingError: a setting does not fit the data.
    """
    if config.image_shape not in (THEIRS, str(shape)):
        raise _other_shape(config.image_shape, shape)
    properties = ImageDriver(None).resolve_exec_properties(dict(_node(config).exec_properties))
    with own_temporary_folder():
        examples = _recorded(config, properties) or _ingested(properties)
        if (found := recorded_shape(examples)) != shape:
            raise _other_shape(str(found), shape)
        yield examples


def split_of(examples: Artifact, split: str) -> str:
    """Returns the folder of `split`."""
    return artifact_utils.get_split_uri([examples], split)


def _node(config: PipelineConfig) -> ImageExampleGen:
    return ImageExampleGen(Asked(**{name: getattr(config, name) for name in Asked._fields}))


def _recorded(config: PipelineConfig, properties: dict[str, Any]) -> Artifact | None:
    """Returns the newest intact Examples of the same content and settings in the state directory, if there are any."""
    if not os.path.exists(config.metadata):
        return None
    with Metadata(sqlite_connection(config.metadata), config.root) as handle:
        found = handle.store.get_executions_by_type(ImageExampleGen.get_class_type())
        done = [execution for execution in found if execution_lib.is_execution_successful(execution)]
        for execution in execution_lib.sort_executions_newest_to_oldest(done):
            if all(execution.custom_properties[name].string_value == properties[name] for name in SAME):
                (examples,) = artifacts_of(handle.store, execution, mlmd.Event.OUTPUT)[specs.EXAMPLES_KEY]
                if examples.mlmd_artifact.state == mlmd.Artifact.LIVE and not damage(examples.uri):
                    return examples
    return None


def _ingested(properties: dict[str, Any]) -> Artifact:
    examples = Examples()
    examples.uri = tempfile.mkdtemp(prefix="examples-")
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    executor = ImageExecutor(ImageExecutor.Context(beam_pipeline_args=[*BEAM_ARGS], tmp_dir=tempfile.mkdtemp()))
    executor.Do({}, {specs.EXAMPLES_KEY: [examples]}, properties)
    return examples


def _other_shape(found: str, shape: Shape) -> UserError:
    remedy = f"Crop and resize the images with --image-shape {shape}, or name a model of their shape"
    return UserError("the images have another shape than the model's", valid=str(shape), value=found, remedy=remedy)
