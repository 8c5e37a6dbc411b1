"""Evaluator: TFX's, which also records what the verdict rests on."""

import json
import os
import pathlib
from typing import Any, NamedTuple

from tensorflow_model_analysis.proto import config_pb2 as tfma
from tfx.components.evaluator import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import proto_utils

from components.artifacts import Artifacts
from components.gate.batches import extractors
from components.gate.rules import without_baseline
from components.gate.serving import saved_model_digests
from components.ingest.duplicates import shared_images
from components.ingest.properties import unreadable_images
from trainer.storage.digests import identity
from trainer.storage.durable import write_durably

FILE = "evidence.json"  # in the evaluation


class Evidence(NamedTuple):
    """The basis of an evaluation, besides its numbers."""

    baseline: str | None  # identity of the baseline's files
    no_baseline: bool  # whether the user asked for no comparison
    shared_images: int  # test images that are also training images, as the user allowed
    unreadable_images: int = 0  # that were left out, as the user allowed
    pushed_meanwhile: int | None = None  # version pushed by another run, against which the gate decided again


class Executor(executor.Executor):
    """TFX's executor, with evidence."""

    def Do(
        self,
        input_dict: Artifacts,
        output_dict: Artifacts,
        exec_properties: dict[str, Any],
        pushed_meanwhile: int | None = None,
    ) -> None:
        """Evaluates, and writes the evidence into the evaluation."""
        batches = {"custom_extractors": f"{extractors.__module__}.{extractors.__name__}"}
        super().Do(input_dict, output_dict, {**exec_properties, **batches})
        rules = proto_utils.json_to_proto(exec_properties[specs.EVAL_CONFIG_KEY], tfma.EvalConfig())
        baselines = input_dict.get(specs.BASELINE_MODEL_KEY) or []
        examples = input_dict[specs.EXAMPLES_KEY]
        evidence = Evidence(
            baseline=identity(saved_model_digests(baselines[0].uri)) if baselines else None,
            no_baseline=without_baseline(rules),
            shared_images=sum(map(shared_images, examples)),
            unreadable_images=sum(map(unreadable_images, examples)),
            pushed_meanwhile=pushed_meanwhile,
        )
        evaluation = artifact_utils.get_single_uri(output_dict[specs.EVALUATION_KEY])
        write_durably(os.path.join(evaluation, FILE), json.dumps(evidence._asdict()).encode())


class Evaluator(component.Evaluator):
    """TFX's component, with evidence."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def read_evidence(evaluation: str) -> Evidence:
    """Returns the evidence of the evaluation at the path `evaluation`; earlier code also wrote names of labels."""
    found = json.loads(pathlib.Path(evaluation, FILE).read_text())
    return Evidence(**{name: value for name, value in found.items() if name in Evidence._fields})
