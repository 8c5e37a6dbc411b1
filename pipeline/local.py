"""Runs the pipeline, or one node of it, in this process."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfx.dsl.compiler import constants
from tfx.orchestration.local import runner_utils
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2

from components.train.site import Site
from components.train.training_state import forget_training
from pipeline.account import REPORT, tell_report
from pipeline.beam.arguments import beam_args
from pipeline.beam.operator import BeamOperator, check_arguments
from pipeline.console import Story
from pipeline.dag import WINDOW_NODE, compile_pipeline, create_pipeline, create_span_pipeline
from pipeline.outcome import Outcome, read_outcome
from pipeline.settings import PipelineConfig
from pipeline.state.database import sqlite_connection
from pipeline.state.executions import executions_of
from pipeline.state.launcher import Launcher
from pipeline.state.lineage import IncompleteRunError, output_of
from pipeline.state.metadata import Metadata
from pipeline.state.spans import span_run, window_of
from trainer.settings import Execution


def run(config: PipelineConfig, run_id: str, story: Story) -> Outcome:
    """Runs the components one after another as the run `run_id`, skipping cached ones, and tells `story`.

    Raises:
      Exception: whatever a component raised; `pipeline.failures` turns it into a failure.
      IncompleteRunError: a component did not finish.
    """
    site = site_of(config)
    pipeline = plan(config, run_id, site)
    lineage = Metadata(sqlite_connection(config.metadata), config.root)
    for node in pipeline.nodes:
        name = node.pipeline_node.node_info.id
        story.starts(name)
        story.ends(cached=launch_node(pipeline, node.pipeline_node, lineage, config.training))
        if name == WINDOW_NODE:
            ingest_spans(config, run_id, site, lineage, story)
    return read_outcome(lineage, run_id)


def ingest_spans(config: PipelineConfig, run_id: str, site: Site, lineage: Metadata, story: Story) -> None:
    """Ingests and validates each span of the run, and compares the newest one, except what an earlier attempt finished.

    Raises:
      Exception: whatever a component raised.
      IncompleteRunError: a component did not finish.
    """
    with lineage as handle:
        window = window_of(handle.store, run_id)
    for span in window:
        story.say(f"span {span.name}")
        run = span_run(run_id, span)
        pipeline = _compile(create_span_pipeline(config, site, span, newest=span == window[-1]), run)
        for node in pipeline.nodes:
            name = node.pipeline_node.node_info.id
            if is_finished(run, name, lineage):
                story.say(f"{name} was finished by an earlier attempt at this run")
            else:
                story.starts(name)
                story.ends(cached=launch_node(pipeline, node.pipeline_node, lineage, config.training))


def is_finished(run_id: str, name: str, lineage: Metadata) -> bool:
    """Tells whether an earlier attempt at the run finished the node."""
    with lineage as handle:
        execution = executions_of(handle.store, run_id).get(name)
    return execution is not None and execution_lib.is_execution_successful(execution)


def site_of(config: PipelineConfig, **elsewhere: Any) -> Site:
    """Returns where the training of `config` runs: in this process, unless `elsewhere` sets other fields of `Site`."""
    execution = Execution(**{field.name: getattr(config, field.name) for field in dataclasses.fields(Execution)})
    warm: dict[str, Any] = {"warm_start": config.starts_warm, "may_start_cold": config.warm_start is None}
    return Site(execution=execution, training=config.training, **warm, **elsewhere)


def plan(config: PipelineConfig, run_id: str, site: Site) -> pipeline_pb2.Pipeline:
    """Compiles the run `run_id` to TFX's intermediate representation.

    Raises:
      UserError: Beam's arguments fit no engine.
    """
    check_arguments(beam_args(config.beam_args))
    return _compile(create_pipeline(config, site), run_id)


def _compile(pipeline: Pipeline, run_id: str) -> pipeline_pb2.Pipeline:
    compiled = compile_pipeline(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(compiled, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id})
    return compiled


def launch_node(
    pipeline: pipeline_pb2.Pipeline,
    node: pipeline_pb2.PipelineNode,
    lineage: Metadata,
    training: str,
    attempts: Sequence[str] = (),
) -> bool:
    """Launches one node, checks that it finished, and returns whether its result came from the cache.

    `attempts`: what became of earlier attempts at parts of the run, for the report.

    Raises:
      Exception: whatever the component raised.
      IncompleteRunError: it did not finish, though nothing was raised.

    TFX's LocalDagRunner does not check: a Resolver that fails raises nothing, and the Evaluator behind it would take
    the missing baseline for a first run and bless any model.
    """
    name = node.node_info.id
    if name == REPORT:
        with lineage as handle:
            tell_report(pipeline, node, handle.store, attempts)
    deployment = runner_utils.extract_local_deployment_config(pipeline)
    execution = Launcher(
        pipeline_node=node,
        mlmd_connection=lineage,
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, name),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
        custom_executor_operators={executable_spec_pb2.BeamExecutableSpec: BeamOperator},
    ).launch()
    if lineage.failure:  # TFX's input resolution swallows it
        raise lineage.failure
    with lineage as handle:
        (record,) = handle.store.get_executions_by_id([execution.execution_id])
    if not execution_lib.is_execution_successful(record):
        raise IncompleteRunError(f"{name} did not finish", remedy="Its inputs may be missing; the log says more")
    if name == "Trainer":  # the model is recorded, so nothing resumes this training any more
        with lineage as handle:
            forget_training(output_of(handle.store, record, "model_run").uri, training)
    return record.last_known_state == record.CACHED
