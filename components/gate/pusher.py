"""AtomicPusher: pushes a blessed model whole or not at all, and only if it may still replace the served one."""

import base64
import os
import tempfile
from typing import Any, ClassVar, NamedTuple

from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef
from tfx import types
from tfx.components.pusher import executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import artifact_utils, component_spec
from tfx.types import standard_component_specs as specs
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, ModelEvaluation, PushedModel
from tfx.utils import io_utils, json_utils

from components.artifacts import Artifacts
from components.card.names import model_identity
from components.gate import evaluator
from components.gate.card import card_of
from components.gate.evaluator import read_evidence
from components.gate.publish import STAGING, publish
from components.gate.result import Result
from components.gate.serving import FORMAT_SERVING, LOCK, Served, newest, saved_model_digests
from components.gate.units_check import check_units
from components.gate.verdict import Verdict, read_verdict
from components.gate.withdrawal import fingerprint, finish_withdrawals, withdrawals
from trainer.errors import ReportedError
from trainer.storage.digests import Digests, write_digests
from trainer.storage.leftovers import clear
from trainer.storage.lock import locked
from trainer.storage.quarantine import damage, quarantine_folder
from trainer.units import read_units

PUSH_DIRECTORY, SOURCE = "push_directory", "source"  # parameters
AGAIN = "evaluation"  # folder in the artifact, of the second evaluation
AGAIN_INPUTS = (specs.EXAMPLES_KEY, specs.MODEL_KEY, specs.INFRA_BLESSING_KEY)  # of the second evaluation


class Push(NamedTuple):
    """The result of a push, kept in the properties of its artifact."""

    pushed_to: str | None = None  # folder of the new version
    unchanged: str | None = None  # folder of the served version, which is already this model
    damaged: str | None = None  # new name of the previously served version, which was damaged
    decided_again: str | None = None  # folder in the artifact with the second evaluation, if one decided
    withdrawn: str | None = None  # why nothing was pushed: the model is that of a withdrawn version

    def write(self, artifact: types.Artifact) -> None:
        """Writes the fields into the properties of `artifact`."""
        for name, value in self._asdict().items():
            if value is not None:
                artifact.set_string_custom_property(name, value)

    @classmethod
    def read(cls, artifact: types.Artifact) -> "Push":
        """Undoes `write`."""
        return cls(*(artifact.get_string_custom_property(name) or None for name in cls._fields))


class Executor(executor.Executor):
    """A push to `<push directory>/<version>`; the version is the time of the push in seconds since 1970.

    A lock on the push directory is held throughout. The copy is made beside the versions, in a folder that TensorFlow
    Serving ignores, verified, and renamed. The artifact holds no copy.
    """

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Pushes a blessed model that differs from the newest version, and records what it did in the artifact.

        Raises:
          ReportedError: the model is damaged, or the served version cannot be read.
          UserError: another run pushed a model in other units during this one.
        """
        artifact = artifact_utils.get_single_instance(output_dict[specs.PUSHED_MODEL_KEY])
        if self.CheckBlessing(input_dict):
            base = exec_properties[PUSH_DIRECTORY]
            os.makedirs(base, exist_ok=True)
            with locked(os.path.join(base, LOCK), "push"):
                finish_withdrawals(base)
                self._push(base, input_dict, artifact, exec_properties).write(artifact)
        verdict = final_verdict(artifact_utils.get_single_uri(input_dict[specs.EVALUATION_KEY]), artifact)
        _result(verdict).write(artifact)

    def _push(self, base: str, inputs: Artifacts, artifact: types.Artifact, exec_properties: dict[str, Any]) -> Push:
        model, digests = self.GetModelPath(inputs), saved_model_digests(inputs[specs.MODEL_KEY][0].uri)
        if reason := _withdrawn(base, model, digests):
            return Push(withdrawn=reason)
        served = newest(base)
        fault = damage(served.path) if served else None
        evaluation = artifact_utils.get_single_uri(inputs[specs.EVALUATION_KEY])
        evidence = read_evidence(evaluation)
        again = None
        if served and not evidence.no_baseline and served.model not in (evidence.baseline, model_identity(digests)):
            if fault:
                what = f"version {served.version}, which another run pushed during this one, is damaged: {fault}"
                raise ReportedError(what, value=served.path, remedy="Start again; nothing was pushed")
            again = AGAIN
            if not self._decide_again(served, inputs, artifact.uri, exec_properties):
                return Push(decided_again=again)
        if served and not fault and _same_model(served, model, digests):
            return Push(unchanged=served.path, decided_again=again)
        clear(base, STAGING, days=1)
        verdict = read_verdict(os.path.join(artifact.uri, AGAIN) if again else evaluation)
        card = card_of(base, model, digests, verdict, exec_properties[SOURCE], inputs, self._run)
        pushed = publish(model, digests, base, card)
        moved = quarantine_folder(served.path, fault) if served and fault else None  # only after its successor is there
        return Push(pushed_to=pushed, damaged=moved, decided_again=again)

    @property
    def _run(self) -> str | None:
        return self._context.pipeline_run_id if self._context else None

    def _decide_again(self, served: Served, inputs: Artifacts, folder: str, exec_properties: dict[str, Any]) -> bool:
        """Evaluates against a version that another run pushed meanwhile; returns whether the model is blessed."""
        check_units(read_units(self.GetModelPath(inputs)), served.path)
        baseline, evaluation, blessing = Model(), ModelEvaluation(), ModelBlessing()
        evaluation.uri = os.path.join(folder, AGAIN)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            baseline.uri, blessing.uri = os.path.join(scratch, "baseline"), os.path.join(scratch, "blessing")
            io_utils.copy_dir(served.path, os.path.join(baseline.uri, FORMAT_SERVING))
            write_digests(baseline.uri)
            evaluator.Executor(self._context).Do(
                {**{key: inputs[key] for key in AGAIN_INPUTS}, "baseline_model": [baseline]},
                {specs.EVALUATION_KEY: [evaluation], specs.BLESSING_KEY: [blessing]},
                exec_properties,
                pushed_meanwhile=served.version,
            )
        return blessing.get_int_custom_property("blessed") == 1


def deciding_evaluation(evaluation: str, pushed_model: types.Artifact) -> str:
    """Returns the path of the evaluation that decided: the pusher's own if it made one, else `evaluation`."""
    again = Push.read(pushed_model).decided_again
    return os.path.join(pushed_model.uri, again) if again else evaluation


def final_verdict(evaluation: str, pushed_model: types.Artifact) -> Verdict:
    """Reads the verdict of the evaluation that decided. A model that was withdrawn before is refused."""
    verdict, reason = read_verdict(deciding_evaluation(evaluation, pushed_model)), Push.read(pushed_model).withdrawn
    return verdict._replace(blessed=False, reasons=[*verdict.reasons, reason]) if reason else verdict


class AtomicPusherSpec(component_spec.ComponentSpec):
    """The model, its evaluation and blessings, and what a second evaluation needs."""

    PARAMETERS: ClassVar[dict] = {
        specs.EVAL_CONFIG_KEY: specs.EvaluatorSpec.PARAMETERS[specs.EVAL_CONFIG_KEY],
        specs.EXAMPLE_SPLITS_KEY: specs.EvaluatorSpec.PARAMETERS[specs.EXAMPLE_SPLITS_KEY],
        PUSH_DIRECTORY: component_spec.ExecutionParameter(type=str),
        SOURCE: component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict] = {
        specs.EXAMPLES_KEY: specs.EvaluatorSpec.INPUTS[specs.EXAMPLES_KEY],
        specs.MODEL_KEY: component_spec.ChannelParameter(type=Model),
        specs.INFRA_BLESSING_KEY: component_spec.ChannelParameter(type=InfraBlessing),
        specs.MODEL_BLESSING_KEY: component_spec.ChannelParameter(type=ModelBlessing),
        specs.EVALUATION_KEY: specs.EvaluatorSpec.OUTPUTS[specs.EVALUATION_KEY],
    }
    OUTPUTS: ClassVar[dict] = {specs.PUSHED_MODEL_KEY: component_spec.ChannelParameter(type=PushedModel)}


class AtomicPusher(base_beam_component.BaseBeamComponent):
    """Pusher to a folder that a model server watches.

    Args:
      examples: Examples with the split test, for a second evaluation.
      model: the new model.
      infra_blessing: what a fresh process found of it; without this blessing nothing is pushed.
      model_blessing: the gate's decision.
      evaluation: the evaluation behind it, with its evidence.
      push_directory: folder that models are served from.
      source: name of the data set, or path of the data, for the model card.
      eval_config: the gate's rules, a tfma.EvalConfig.
    """

    SPEC_CLASS = AtomicPusherSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, **arguments: Any) -> None:
        outputs = {specs.PUSHED_MODEL_KEY: types.Channel(type=PushedModel)}
        super().__init__(AtomicPusherSpec(**arguments, **outputs, example_splits=json_utils.dumps(["test"])))


def _withdrawn(base: str, model: str, digests: Digests) -> str | None:
    """Says which withdrawn version computes the same as the SavedModel at `model`, if one does."""
    ours = fingerprint(model)
    for found in withdrawals(base):
        if found.model == model_identity(digests) or _equal(found.fingerprint, ours):
            return f"this model is {found}"
    return None


def _result(verdict: Verdict) -> Result:
    mean = verdict.candidate
    return Result(verdict.blessed, mean.get("elbo"), mean.get("elbo_standard_error"), "; ".join(verdict.reasons))


def _same_model(served: Served, model: str, digests: Digests) -> bool:
    """Returns whether the served version, which is undamaged, computes the same as the SavedModel at `model`.

    Equal models may have different files, because an export contains random and running numbers. TensorFlow's canonical
    hashes leave those out.
    """
    return served.model == model_identity(digests) or _equal(fingerprint(served.path), fingerprint(model))


def _equal(fingerprint: str, other: str) -> bool:
    return bool(fingerprint and other) and _hashes(fingerprint) == _hashes(other)


def _hashes(fingerprint: str) -> tuple[int, int, int]:
    found = FingerprintDef.FromString(base64.b64decode(fingerprint))
    return found.graph_def_program_hash, found.signature_def_hash, found.checkpoint_hash
