"""Runs TFX nodes for real, through the local runner, with a metadata database of their own."""

import pathlib
from collections.abc import Callable

import pytest
import tensorflow as tf
from tfx.components.evaluator.executor import Executor
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.gate import eval_config
from components.verdict import read_verdict
from trainer.config import TrainConfig
from trainer.units import Units


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

    def run(records, candidate, baseline=None, min_elbo=None, max_regression=1.0, min_label_elbo=None):
        examples = standard_artifacts.Examples()
        examples.uri = str(tmp_path / "examples")
        examples.split_names = '["test"]'
        (tmp_path / "examples/Split-test").mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(tmp_path / "examples/Split-test/data.gz"), "GZIP") as writer:
            for record in records:
                writer.write(record)
        inputs = {"examples": [examples], "model": [candidate]}
        if baseline is not None:
            inputs["baseline_model"] = [baseline]
        evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
        evaluation.uri, blessing.uri = str(tmp_path / "evaluation"), str(tmp_path / "blessing")
        context = Executor.Context(beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(tmp_path / "tmp"))
        rules = eval_config(min_elbo, max_regression, min_label_elbo, Units.of(TrainConfig()))
        Executor(context).Do(
            inputs,
            {"evaluation": [evaluation], "blessing": [blessing]},
            {"eval_config": proto_utils.proto_to_json(rules), "example_splits": '["test"]'},
        )
        verdict = read_verdict(evaluation.uri)
        assert verdict.blessed == bool(blessing.get_int_custom_property("blessed"))  # what the Pusher goes by
        return verdict

    return run
