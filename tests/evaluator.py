"""The Evaluator with the gate's rules, on any models and images."""

import pathlib

import tensorflow as tf
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.gate.evaluator import Executor
from components.gate.rules import eval_config
from components.gate.serving_record import Serving
from components.gate.verdict import Verdict, read_verdict
from pipeline.beam.arguments import BEAM_ARGS
from served import SERVING, infra_blessing
from trainer.storage.digests import write_digests


def write_examples(folder: pathlib.Path, records: list[bytes]) -> standard_artifacts.Examples:
    """Writes serialized Examples as the artifact that ImageExampleGen makes, with a split test alone."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    examples.split_names = '["test"]'
    (folder / "Split-test").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "Split-test/data.gz"), "GZIP") as writer:
        for record in records:
            writer.write(record)
    return examples


def evaluate(
    folder: pathlib.Path,
    examples: standard_artifacts.Examples,
    candidate: standard_artifacts.Model,
    baseline: standard_artifacts.Model | None = None,
    min_elbo: float | None = None,
    max_regression: float = 1.0,
    min_label_elbo: float | None = None,
    serving: Serving = SERVING,
) -> tuple[standard_artifacts.ModelEvaluation, Verdict]:
    """Runs the Evaluator in `folder`."""
    checked = infra_blessing(folder / "serving", serving)
    inputs = {"examples": [examples], "model": [candidate], "infra_blessing": [checked]}
    if baseline is not None:
        inputs["baseline_model"] = [baseline]
        write_digests(baseline.uri)
    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    evaluation.uri, blessing.uri = str(folder / "evaluation"), str(folder / "blessing")
    context = Executor.Context(beam_pipeline_args=[*BEAM_ARGS], tmp_dir=str(folder / "tmp"))
    rules = eval_config(min_elbo, max_regression, min_label_elbo)
    Executor(context).Do(
        inputs,
        {"evaluation": [evaluation], "blessing": [blessing]},
        {"eval_config": proto_utils.proto_to_json(rules), "example_splits": '["test"]'},
    )
    verdict = read_verdict(evaluation.uri)
    assert verdict.blessed == bool(blessing.get_int_custom_property("blessed"))  # what the pusher reads
    return evaluation, verdict
