"""Compares two sets of images, with the components of a run in a state directory of their own."""

import os
import re
from collections.abc import Sequence

import apache_beam as beam
from tfx.dsl.compiler import constants
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.types import Artifact

from components.drift.compare import Comparator
from components.drift.findings import Findings
from components.drift.measure import Side, measure
from components.ingest.example_gen import ImageExampleGen
from pipeline.beam.arguments import BEAM_ARGS
from pipeline.console import Story
from pipeline.dag import compile_pipeline
from pipeline.drift import asked_of, described
from pipeline.local import launch_node
from pipeline.settings import DATASET, PipelineConfig
from pipeline.state.database import sqlite_connection
from pipeline.state.executions import executions_of
from pipeline.state.lineage import output_of
from pipeline.state.metadata import Metadata
from trainer.errors import UserError

RUN = "drift"  # id of the only run in the state directory


def compare_data(pair: Sequence[str], config: PipelineConfig, model: str | None, story: Story) -> Findings:
    """Ingests two sets of images into the state directory of `config`, and compares them.

    Args:
      pair: path or TFDS name of each.
      config: how they are ingested, and what is allowed.
      model: path of the SavedModel that gives the ELBO, or None.
      story: told of each component.

    Raises:
      UserError: there are no such data, or they cannot be compared.
    """
    nodes = [node for side, data in zip("AB", pair, strict=True) for node in _ingestion(side, data, config)]
    pipeline = Pipeline(
        pipeline_name="drift",
        pipeline_root=config.artifacts,
        components=nodes,
        enable_cache=False,
        beam_pipeline_args=[*BEAM_ARGS],
    )
    plan = compile_pipeline(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(plan, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: RUN})
    lineage = Metadata(sqlite_connection(config.metadata), config.root)
    for node in plan.nodes:
        story.starts(node.pipeline_node.node_info.id)
        story.ends(cached=launch_node(plan, node.pipeline_node, lineage, config.training))
    a, b = (Side(data, *_outputs(side, lineage)) for side, data in zip("AB", pair, strict=True))
    return measure(a, b, Comparator.DRIFT, config.drift_threshold, model, config.root, _pipeline)


def _ingestion(side: str, data: str, config: PipelineConfig) -> list[BaseNode]:
    """Returns the nodes that ingest one side."""
    asked = asked_of(config)
    if os.path.exists(data):
        asked = asked._replace(data=os.path.abspath(data))
    elif re.match(DATASET, data):
        asked = asked._replace(dataset=data)
    else:
        raise UserError(
            f"{data} does not exist, and is no name of a TFDS data set", value=data, remedy="Check the path"
        )
    examples = ImageExampleGen(asked).with_id(f"{side}-examples")
    return [examples, described(examples.outputs["examples"]).with_id(f"{side}-statistics")]


def _outputs(side: str, lineage: Metadata) -> list[list[Artifact]]:
    with lineage as handle:
        executions = executions_of(handle.store, RUN)
        return [[output_of(handle.store, executions[f"{side}-{key}"], key)] for key in ("examples", "statistics")]


def _pipeline() -> beam.Pipeline:
    return beam.Pipeline(argv=[*BEAM_ARGS])
