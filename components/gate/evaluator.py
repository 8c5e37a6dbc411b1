"""Evaluator: TFX's, which also records what the verdict rests on, and blesses no model that cannot be served."""

import json
import os
import pathlib
import shutil
from typing import Any, ClassVar, NamedTuple

from tensorflow_model_analysis.proto import config_pb2 as tfma
from tfx import types
from tfx.components.evaluator import constants, executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import artifact_utils, component_spec
from tfx.types import standard_component_specs as specs
from tfx.types.standard_artifacts import InfraBlessing, ModelBlessing, ModelEvaluation
from tfx.utils import json_utils, proto_utils

from components.artifacts import Artifacts
from components.card.names import model_identity
from components.gate.batches import extractors
from components.gate.rules import without_baseline
from components.gate.serving import saved_model_digests
from components.gate.serving_record import Serving, read_serving
from components.ingest.duplicates import shared_images
from components.ingest.properties import unreadable_images
from trainer.storage.durable import write_durably

FILE = "evidence.json"  # in the evaluation


class Evidence(NamedTuple):
    """The basis of an evaluation, besides its numbers."""

    baseline: str | None  # identity of the baseline's files
    no_baseline: bool  # whether the user asked for no comparison
    shared_images: int  # test images that are also training images, as the user allowed
    unreadable_images: int = 0  # that were left out, as the user allowed
    pushed_meanwhile: int | None = None  # version pushed by another run, against which the gate decided again
    serving: Serving | None = None  # what a fresh process found of the model

    @classmethod
    def from_json(cls, text: bytes) -> "Evidence":
        """Undoes `to_json`. Earlier code also wrote names of labels."""
        fields = {name: value for name, value in json.loads(text).items() if name in cls._fields}
        return cls(**{**fields, "serving": fields.get("serving") and Serving.from_dict(fields["serving"])})

    def to_json(self) -> bytes:
        """Returns the fields as JSON."""
        return json.dumps({**self._asdict(), "serving": self.serving and self.serving._asdict()}).encode()


class Executor(executor.Executor):
    """TFX's executor, with evidence."""

    def Do(
        self,
        input_dict: Artifacts,
        output_dict: Artifacts,
        exec_properties: dict[str, Any],
        pushed_meanwhile: int | None = None,
    ) -> None:
        """Evaluates a model that answers, and writes the evidence into the evaluation."""
        serving = read_serving(artifact_utils.get_single_uri(input_dict[specs.INFRA_BLESSING_KEY]))
        if serving.answers:
            batches = {"custom_extractors": f"{extractors.__module__}.{extractors.__name__}"}
            super().Do(input_dict, output_dict, {**exec_properties, **batches})
        if serving.reasons:
            _refuse(artifact_utils.get_single_instance(output_dict[specs.BLESSING_KEY]))
        rules = proto_utils.json_to_proto(exec_properties[specs.EVAL_CONFIG_KEY], tfma.EvalConfig())
        baselines = input_dict.get(specs.BASELINE_MODEL_KEY) or []
        examples = input_dict[specs.EXAMPLES_KEY]
        evidence = Evidence(
            baseline=model_identity(saved_model_digests(baselines[0].uri)) if baselines else None,
            no_baseline=without_baseline(rules),
            shared_images=sum(map(shared_images, examples)),
            unreadable_images=sum(map(unreadable_images, examples)),
            pushed_meanwhile=pushed_meanwhile,
            serving=serving,
        )
        evaluation = artifact_utils.get_single_uri(output_dict[specs.EVALUATION_KEY])
        os.makedirs(evaluation, exist_ok=True)
        write_durably(os.path.join(evaluation, FILE), evidence.to_json())


class EvaluatorSpec(component_spec.ComponentSpec):
    """What TFX's executor needs, and the check of the served model."""

    PARAMETERS: ClassVar[dict] = {
        key: specs.EvaluatorSpec.PARAMETERS[key] for key in (specs.EVAL_CONFIG_KEY, specs.EXAMPLE_SPLITS_KEY)
    }
    INPUTS: ClassVar[dict] = {
        **{
            key: specs.EvaluatorSpec.INPUTS[key]
            for key in (specs.EXAMPLES_KEY, specs.MODEL_KEY, specs.BASELINE_MODEL_KEY)
        },
        specs.INFRA_BLESSING_KEY: component_spec.ChannelParameter(type=InfraBlessing),
    }
    OUTPUTS: ClassVar[dict] = specs.EvaluatorSpec.OUTPUTS


class Evaluator(base_beam_component.BaseBeamComponent):
    """The gate's measurement.

    Args:
      examples: Examples with the split test.
      model: the new model.
      infra_blessing: what a fresh process found of it.
      baseline_model: the last blessed model, if there is one.
      eval_config: the gate's rules, a tfma.EvalConfig.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, **arguments: Any) -> None:
        outputs = {
            specs.EVALUATION_KEY: types.Channel(type=ModelEvaluation),
            specs.BLESSING_KEY: types.Channel(type=ModelBlessing),
        }
        super().__init__(EvaluatorSpec(**arguments, **outputs, example_splits=json_utils.dumps(["test"])))


def _refuse(blessing: types.Artifact) -> None:
    """Makes the blessing of TFX's executor, if there is one, the opposite."""
    shutil.rmtree(blessing.uri, ignore_errors=True)
    os.makedirs(blessing.uri)
    pathlib.Path(blessing.uri, constants.NOT_BLESSED_FILE_NAME).touch()
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, constants.NOT_BLESSED_VALUE)


def read_evidence(evaluation: str) -> Evidence:
    """Returns the evidence of the evaluation at the path `evaluation`."""
    return Evidence.from_json(pathlib.Path(evaluation, FILE).read_bytes())
