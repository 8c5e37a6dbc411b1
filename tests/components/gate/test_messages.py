"""The wording of the gate's errors; a verdict's reasons are in test_rules."""

import json
import re

import pytest
from tfx.components.evaluator import constants
from tfx.types import standard_artifacts

from components.gate import pusher
from components.gate.evaluator import Evidence
from components.gate.units_check import UnitsCheck
from components.gate.verdict import Verdict
from served import infra_blessing
from trainer.errors import ReportedError
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.storage.digests import write_digests
from trainer.units import Units, write_units


def check(folder, baselines, blessings):
    recipe = json.dumps(TrainConfig().to_dict())
    properties = {"no_baseline": False, "push_directory": str(folder / "pushed"), "recipe": recipe}
    inputs = {"examples": [standard_artifacts.Examples()], "baseline": baselines, "blessing": blessings}
    UnitsCheck.EXECUTOR_SPEC.executor_class().Do(inputs, {}, properties)


def other_units(folder):
    model = standard_artifacts.Model()
    model.uri = str(folder)
    write_units(Units.of(TrainConfig(eval_samples=8), Shape(28, 20, 1)), str(folder / "Format-Serving"))
    check(folder, [model], [])


def not_recorded(folder):
    (folder / "pushed/7").mkdir(parents=True)
    check(folder, [], [])


def blessed_and_not_recorded(folder):
    check(folder, [], [standard_artifacts.ModelBlessing()])


def push(folder, damage=False):
    """Pushes a blessed model of one file, which is damaged or not."""
    artifacts = {
        "model": standard_artifacts.Model(),
        "model_blessing": standard_artifacts.ModelBlessing(),
        "evaluation": standard_artifacts.ModelEvaluation(),
        "pushed_model": standard_artifacts.PushedModel(),
    }
    for name, artifact in artifacts.items():
        artifact.uri = str(folder / name)
        (folder / name).mkdir()
    (folder / "model/Format-Serving").mkdir()
    (folder / "model/Format-Serving/graph").write_text("sound")
    write_digests(str(folder / "model"))
    if damage:
        (folder / "model/Format-Serving/graph").write_text("other")
    artifacts["model_blessing"].set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, 1)
    (folder / "evaluation/evidence.json").write_text(json.dumps(Evidence("baseline", False, 0)._asdict()))
    pushed = artifacts.pop("pushed_model")
    inputs = {name: [artifact] for name, artifact in artifacts.items()}
    inputs["infra_blessing"] = [infra_blessing(folder / "serving")]
    properties = {"push_directory": str(folder / "pushed"), "source": "toy"}
    pusher.Executor().Do(inputs, {"pushed_model": [pushed]}, properties)


def damaged_copy(folder):
    push(folder, damage=True)


def damaged_meanwhile(folder):
    (folder / "pushed/7").mkdir(parents=True)
    push(folder)


MESSAGES = {
    other_units: """
        the last blessed model's ELBO has other units than the new model's, so they cannot be compared: expected
        Bernoulli (nats per image, cross entropy of grey values), images of 32x32x3, pixels / 255, in [0, 1], K = 4, got
        'Bernoulli (nats per image, cross entropy of grey values), images of 28x20x1, pixels / 255, in [0, 1], K = 8'.
        Use the settings that it was trained with, or start a new series with another --root""",
    not_recorded: """
        version 7, which is served from FOLDER/pushed, cannot be compared with a new one, because ML Metadata records no
        model with its files. Restore the artifacts and metadata of its run, or pass --no-baseline to push without a
        comparison""",
    blessed_and_not_recorded: """
        the last blessed model cannot be compared with a new one, because ML Metadata records no model with its files.
        Restore the artifacts and metadata of its run, or pass --no-baseline to push without a comparison""",
    damaged_copy: """
        the copy of the blessed model is damaged: FOLDER/pushed/.incomplete-X/model/graph has changed since it was
        written. Start again; nothing was pushed""",
    damaged_meanwhile: """
        version 7, which another run pushed during this one, is damaged: FOLDER/pushed/7.digests.json is missing. Start
        again; nothing was pushed""",
}


@pytest.mark.parametrize("cause", MESSAGES, ids=lambda cause: cause.__name__)
def test_a_message_says_what_is_wrong_what_is_valid_and_what_to_do(cause, tmp_path, monkeypatch):
    verdict = Verdict(True, {}, None, {}, [], [])  # TFMA's files are no part of these evaluations
    monkeypatch.setattr(pusher, "read_verdict", lambda evaluation: verdict)
    with pytest.raises(ReportedError) as error:
        cause(tmp_path)
    message = re.sub(r"incomplete-\w+", "incomplete-X", str(error.value).replace(str(tmp_path), "FOLDER"))
    assert message == " ".join(MESSAGES[cause].split())
