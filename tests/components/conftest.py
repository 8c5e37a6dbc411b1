"""Runs TFX nodes for real, through the local runner, with a metadata database of their own."""

import pathlib
from collections.abc import Callable

import pytest
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline

import evaluator
from components.verdict import read_verdict


@pytest.fixture
def run_nodes(tmp_path) -> Callable[[list[BaseNode]], pathlib.Path]:
    """Runs the nodes in order and returns the folder of their artifacts."""

    def run(nodes: list[BaseNode]) -> pathlib.Path:
        pipeline = Pipeline(
            pipeline_name="test",
            pipeline_root=str(tmp_path / "artifacts"),
            components=nodes,
            enable_cache=True,
            metadata_connection_config=metadata.sqlite_metadata_connection_config(str(tmp_path / "mlmd.sqlite")),
            beam_pipeline_args=["--runner=FnApiRunner"],
        )
        LocalDagRunner().run(pipeline)
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
