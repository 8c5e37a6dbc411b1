"""AtomicPusher: a blessed model appears whole or not at all, and only if it may still replace what is served."""

import os
import time
import uuid
from typing import Any, ClassVar, NamedTuple

import tensorflow as tf
from tfx import types
from tfx.components.pusher import executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, component_spec
from tfx.types import standard_component_specs as specs
from tfx.types.standard_artifacts import Model, ModelBlessing, ModelEvaluation, PushedModel
from tfx.utils import io_utils, json_utils

from components.gate import evaluator
from components.gate.evaluator import read_evidence
from components.gate.serving import FORMAT_SERVING, LOCK, Served, newest, saved_model_digests, versions
from components.gate.units_check import check_units
from trainer.errors import ReportedError
from trainer.storage.digests import (
    DamageError,
    Digests,
    check_digests,
    digest_file,
    identity,
    record_digests,
    write_digests,
)
from trainer.storage.durable import sync, sync_folder
from trainer.storage.leftovers import clear
from trainer.storage.lock import locked
from trainer.storage.quarantine import damage, set_aside
from trainer.units import read_units

STAGING = ".incomplete-"
PUSH_DIRECTORY = "push_directory"
AGAIN = "evaluation"  # folder in the artifact


class Push(NamedTuple):
    """What the pusher did, as the properties of its artifact say."""

    pushed_to: str | None = None  # folder of the new version
    unchanged: str | None = None  # folder of the version that is the same model already
    damaged: str | None = None  # where the version that was served before went, because it was damaged
    decided_again: str | None = None  # folder in the artifact of the evaluation that decided, if it was the second

    def write(self, artifact: types.Artifact) -> None:
        """Keeps it in the artifact's properties."""
        for name, value in self._asdict().items():
            if value is not None:
                artifact.set_string_custom_property(name, value)

    @classmethod
    def read(cls, artifact: types.Artifact) -> "Push":
        """Undoes `write`."""
        return cls(*(artifact.get_string_custom_property(name) or None for name in cls._fields))


class Executor(executor.Executor):
    """Pushes to `<push directory>/<version>`, where version is the time of the push in seconds since 1970.

    All of it happens under a lock on the push directory. The copy is made beside the versions, in a folder that
    TensorFlow Serving does not look at, verified, and renamed. The artifact gets no copy of its own.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes a blessed model that differs from the newest version; marks the artifact with what was done.

        Raises:
          ReportedError: the model is damaged, or what is served cannot be read.
          UserError: a model in other units was pushed during the run.
        """
        artifact = artifact_utils.get_single_instance(output_dict[specs.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            return
        base = exec_properties[PUSH_DIRECTORY]
        os.makedirs(base, exist_ok=True)
        with locked(os.path.join(base, LOCK), "push"):
            self._push(base, input_dict, artifact, exec_properties).write(artifact)

    def _push(
        self,
        base: str,
        inputs: dict[str, list[types.Artifact]],
        artifact: types.Artifact,
        exec_properties: dict[str, Any],
    ) -> Push:
        model, digests = self.GetModelPath(inputs), saved_model_digests(inputs[specs.MODEL_KEY][0].uri)
        served = newest(base)
        what = damage(served.path) if served else None
        evidence = read_evidence(artifact_utils.get_single_uri(inputs[specs.EVALUATION_KEY]))
        again = None
        if served and not evidence.no_baseline and served.model not in (evidence.baseline, identity(digests)):
            again = AGAIN
            if not self._decide_again(served, inputs, artifact.uri, exec_properties):
                return Push(decided_again=again)
        if served and not what and _same_model(served, model, digests):
            return Push(unchanged=served.path, decided_again=again)
        pushed = _copy_whole(model, digests, base)
        aside = set_aside(served.path, what) if served and what else None  # once its successor is there
        return Push(pushed_to=pushed, damaged=aside, decided_again=again)

    def _decide_again(
        self, served: Served, inputs: dict[str, list[types.Artifact]], folder: str, exec_properties: dict[str, Any]
    ) -> bool:
        """Evaluates against the version that another run pushed meanwhile, and says whether the model is blessed."""
        if what := damage(served.path):
            raise ReportedError(
                f"version {served.version} was pushed by another run during this one, and is damaged: {what}. Nothing "
                "was pushed. Start again"
            )
        check_units(read_units(self.GetModelPath(inputs)), served.path)
        baseline, evaluation, blessing = Model(), ModelEvaluation(), ModelBlessing()
        baseline.uri = os.path.join(folder, "baseline")
        evaluation.uri, blessing.uri = os.path.join(folder, AGAIN), os.path.join(folder, "blessing")
        io_utils.copy_dir(served.path, os.path.join(baseline.uri, FORMAT_SERVING))
        write_digests(baseline.uri)
        evaluator.Executor(self._context).Do(
            {**{key: inputs[key] for key in (specs.EXAMPLES_KEY, specs.MODEL_KEY)}, "baseline_model": [baseline]},
            {specs.EVALUATION_KEY: [evaluation], specs.BLESSING_KEY: [blessing]},
            exec_properties,
            pushed_meanwhile=served.version,
        )
        for folder in (baseline.uri, blessing.uri):
            fileio.rmtree(folder)
        os.remove(digest_file(baseline.uri))
        return blessing.get_int_custom_property("blessed") == 1


def deciding_evaluation(evaluation: str, pushed_model: types.Artifact) -> str:
    """Path of the evaluation that decided: the run's, at `evaluation`, unless the pusher had to evaluate again."""
    again = Push.read(pushed_model).decided_again
    return os.path.join(pushed_model.uri, again) if again else evaluation


class AtomicPusherSpec(component_spec.ComponentSpec):
    """The model, the gate's decision, and what the gate needs to decide again."""

    PARAMETERS: ClassVar[dict] = {
        **evaluator.EvaluatorSpec.PARAMETERS,
        PUSH_DIRECTORY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict] = {
        specs.EXAMPLES_KEY: evaluator.EvaluatorSpec.INPUTS[specs.EXAMPLES_KEY],
        specs.MODEL_KEY: component_spec.ChannelParameter(type=Model),
        specs.MODEL_BLESSING_KEY: component_spec.ChannelParameter(type=ModelBlessing),
        specs.EVALUATION_KEY: evaluator.EvaluatorSpec.OUTPUTS[specs.EVALUATION_KEY],
    }
    OUTPUTS: ClassVar[dict] = {specs.PUSHED_MODEL_KEY: component_spec.ChannelParameter(type=PushedModel)}


class AtomicPusher(base_beam_component.BaseBeamComponent):
    """Pusher to a directory that a model server watches.

    Args:
      examples: with the split test, for a gate that decides again.
      model: the new model.
      model_blessing: whether the gate let it pass.
      evaluation: the evidence of that.
      push_directory: where models are served from.
      eval_config: the gate, a tfma.EvalConfig.
      no_baseline: whether the user did without a baseline.
    """

    SPEC_CLASS = AtomicPusherSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        evaluation: types.BaseChannel,
        push_directory: str,
        eval_config: Any,
        no_baseline: bool,
    ) -> None:
        super().__init__(
            spec=AtomicPusherSpec(
                examples=examples,
                model=model,
                model_blessing=model_blessing,
                evaluation=evaluation,
                push_directory=push_directory,
                eval_config=eval_config,
                example_splits=json_utils.dumps(["test"]),
                no_baseline=int(no_baseline),
                pushed_model=types.Channel(type=PushedModel),
            )
        )


def _copy_whole(model: str, digests: Digests, base: str) -> str:
    """Copies the SavedModel at the path `model` to a new version, and returns the version's folder.

    Raises:
      ReportedError: the copy is not what was blessed.
    """
    staging = os.path.join(base, f"{STAGING}{uuid.uuid4().hex}")
    clear(base, STAGING, days=1)
    found = versions(base)
    version = max(int(time.time()), found[-1] + 1 if found else 0)
    path = os.path.join(base, str(version))
    try:
        io_utils.copy_dir(model, staging)
        check_digests(staging, digests)
        sync(staging)
        record_digests(path, digests)
        os.rename(staging, path)
    except DamageError as error:
        raise ReportedError(
            f"the copy of the blessed model differs: {error}. Nothing was pushed; start again"
        ) from error
    finally:
        if fileio.exists(staging):
            fileio.rmtree(staging)
    sync_folder(base)
    return path


def _same_model(served: Served, model: str, digests: Digests) -> bool:
    """Whether the sound version that is served computes the same as the SavedModel at the path `model`.

    By their files, or, as an export has random and running numbers in it, by TensorFlow's canonical hashes.
    """
    return served.model == identity(digests) or _fingerprint(served.path) == _fingerprint(model)


def _fingerprint(model: str) -> tuple[int, int, int]:
    fingerprint = tf.saved_model.experimental.read_fingerprint(model)
    return fingerprint.graph_def_program_hash, fingerprint.signature_def_hash, fingerprint.checkpoint_hash
