"""Runs TFX nodes for real, by the pipeline's launcher, with a metadata database of their own."""

import datetime
import pathlib
from collections.abc import Callable

import pytest
from tfx.dsl.compiler import constants
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import runtime_parameter_utils

import evaluator
from components.gate.verdict import read_verdict
from pipeline.dag import compile_pipeline
from pipeline.local import launch_node
from pipeline.state.database import sqlite_connection
from pipeline.state.metadata import Metadata


@pytest.fixture
def run_nodes(tmp_path) -> Callable[[list[BaseNode]], pathlib.Path]:
    """Runs the nodes in order and returns the folder of their artifacts."""

    def run(nodes: list[BaseNode]) -> pathlib.Path:
        pipeline = Pipeline(
            pipeline_name="test",
            pipeline_root=str(tmp_path / "artifacts"),
            components=nodes,
            enable_cache=True,
            beam_pipeline_args=["--runner=FnApiRunner"],
        )
        ir = compile_pipeline(pipeline)
        run_id = {constants.PIPELINE_RUN_ID_PARAMETER_NAME: datetime.datetime.now().isoformat()}
        runtime_parameter_utils.substitute_runtime_parameter(ir, run_id)
        lineage = Metadata(sqlite_connection(str(tmp_path / "mlmd.sqlite")), str(tmp_path))
        for node in ir.nodes:
            launch_node(ir, node.pipeline_node, lineage)
        return tmp_path / "artifacts"

    return run


@pytest.fixture
def evaluate(tmp_path):
    """The verdict of TFX's Evaluator with the gate's rules on SavedModels, by the artifacts that hold them."""

    def run(records, candidate, baseline=None, **rules):
        examples = evaluator.write_examples(tmp_path / "examples", records)
        evaluation, blessing = evaluator.evaluate(tmp_path, examples, candidate, baseline, **rules)
        verdict = read_verdict(evaluation.uri)
        assert verdict.blessed == bool(blessing.get_int_custom_property("blessed"))  # what the Pusher goes by
        return verdict

    return run
