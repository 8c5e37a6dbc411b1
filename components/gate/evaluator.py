"""Evaluator: TFX's, which also records what the verdict rests on."""

import json
import os
from typing import Any, ClassVar, NamedTuple

from tfx import types
from tfx.components.evaluator import executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import artifact_utils, component_spec
from tfx.types import standard_component_specs as specs
from tfx.types.standard_artifacts import ModelBlessing, ModelEvaluation
from tfx.utils import json_utils

from components.gate.serving import saved_model_digests
from components.ingest.duplicates import shared_images
from trainer.storage.digests import identity
from trainer.storage.durable import write_durably

FILE = "evidence.json"  # in the evaluation
NO_BASELINE = "no_baseline"


class Evidence(NamedTuple):
    """The basis of an evaluation, besides its numbers."""

    baseline: str | None  # identity of the baseline's files
    no_baseline: bool  # whether the user asked for no comparison
    shared_images: int  # test images that are also training images, as the user allowed
    pushed_meanwhile: int | None = None  # version pushed by another run, against which the gate decided again


class Executor(executor.Executor):
    """TFX's executor, with evidence."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
        pushed_meanwhile: int | None = None,
    ) -> None:
        """Evaluates, and writes the evidence into the evaluation."""
        super().Do(input_dict, output_dict, exec_properties)
        baselines = input_dict.get(specs.BASELINE_MODEL_KEY) or []
        evidence = Evidence(
            baseline=identity(saved_model_digests(baselines[0].uri)) if baselines else None,
            no_baseline=bool(exec_properties[NO_BASELINE]),
            shared_images=shared_images(artifact_utils.get_single_instance(input_dict[specs.EXAMPLES_KEY])),
            pushed_meanwhile=pushed_meanwhile,
        )
        evaluation = artifact_utils.get_single_uri(output_dict[specs.EVALUATION_KEY])
        write_durably(os.path.join(evaluation, FILE), json.dumps(evidence._asdict()).encode())


class EvaluatorSpec(component_spec.ComponentSpec):
    """The used part of TFX's specification, and `no_baseline`."""

    PARAMETERS: ClassVar[dict] = {
        name: specs.EvaluatorSpec.PARAMETERS[name] for name in (specs.EVAL_CONFIG_KEY, specs.EXAMPLE_SPLITS_KEY)
    } | {NO_BASELINE: component_spec.ExecutionParameter(type=int)}
    INPUTS: ClassVar[dict] = {
        name: specs.EvaluatorSpec.INPUTS[name]
        for name in (specs.EXAMPLES_KEY, specs.MODEL_KEY, specs.BASELINE_MODEL_KEY)
    }
    OUTPUTS: ClassVar[dict] = specs.EvaluatorSpec.OUTPUTS


class Evaluator(base_beam_component.BaseBeamComponent):
    """Evaluation of a model on the split test, beside a baseline if there is one.

    Args:
      examples: Examples with the split test.
      model: the new model.
      baseline_model: the last blessed model, or nothing.
      eval_config: the gate's rules, a tfma.EvalConfig.
      no_baseline: whether the user asked for no comparison; recorded in the evidence.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        eval_config: Any,
        no_baseline: bool,
    ) -> None:
        super().__init__(
            spec=EvaluatorSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                eval_config=eval_config,
                example_splits=json_utils.dumps(["test"]),
                no_baseline=int(no_baseline),
                evaluation=types.Channel(type=ModelEvaluation),
                blessing=types.Channel(type=ModelBlessing),
            )
        )


def read_evidence(evaluation: str) -> Evidence:
    """Returns the evidence of the evaluation at the path `evaluation`."""
    with open(os.path.join(evaluation, FILE)) as file:
        return Evidence(**json.loads(file.read()))
