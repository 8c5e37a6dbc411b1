import dataclasses
import json
import math
import os
import pathlib
import subprocess
import sys
import threading
import time
import types

import pytest
import tensorflow as tf
from tfx.components.evaluator import constants
from tfx.types import standard_artifacts
from tfx.types import standard_component_specs as specs

from components.card.card import Data, Training
from components.card.files import read_card
from components.card.names import FILES, model_identity
from components.gate import publish
from components.gate.evaluator import Evidence
from components.gate.pusher import Executor, Push
from components.gate.result import Result
from components.gate.serving import newest, saved_model_digests, versions
from components.gate.verdict import Verdict
from components.gate.withdrawal import present, withdraw
from components.ingest.properties import record_images
from exported import RECIPE
from served import SERVING, infra_blessing
from trainer.carried import write_carried
from trainer.errors import ReportedError
from trainer.evaluate import Quality
from trainer.shape import Shape
from trainer.storage import aside
from trainer.storage.digests import verify_digests, write_digests
from trainer.storage.leftovers import DAY
from trainer.units import Units, write_units

VERDICT = Verdict(
    blessed=True,
    candidate={"elbo": -1.5, "elbo_standard_error": 0.25, "elbo_gain": float("nan")},
    baseline={"elbo": -2.5, "elbo_standard_error": 0.25},
    labels={"3": {"elbo": -3.5, "elbo_standard_error": 0.5}},
    reasons=[],
    notes=["a note"],
    serving=SERVING,
)


def examples_of(span, number, train, test, unreadable):
    """The Examples of a span, without files."""
    examples = standard_artifacts.Examples()
    record_images(examples, {"train": train, "test": test})
    examples.set_string_custom_property("span_name", span)
    examples.set_int_custom_property("span", number)
    examples.set_int_custom_property("unreadable_images", unreadable)
    return examples


class Constant(tf.Module):
    """A model that returns one number."""

    def __init__(self, number):
        super().__init__()
        self.number = tf.Variable(number)

    @tf.function(input_signature=[])
    def say(self):
        return self.number + 0.0


class Pushes:
    """Pushes models that return a number, into the folder `serving`."""

    def __init__(self, folder):
        self.folder, self.serving = folder, folder / "serving"
        self.made = []
        self.verdict = Verdict(True, {"elbo": -1.5, "elbo_standard_error": 0.25}, None, {}, [], [])
        self.result = None  # of the gate, as the last artifact records it
        self.baseline = None  # identity of the model that the next evaluation compares with

    def make(self, number):
        """A Model artifact with its digests."""
        model = standard_artifacts.Model()
        model.uri = str(self.folder / str(len(self.made)) / "model")
        self.made.append(model)
        constant = Constant(number)
        tf.saved_model.save(constant, f"{model.uri}/Format-Serving", signatures={"say": constant.say})
        write_digests(model.uri)
        return model

    def __call__(self, number, blessed=True, no_baseline=False, serving=SERVING):
        """Makes and pushes a model; returns what the pusher did."""
        model = self.make(number)
        return self.push(model, blessed, no_baseline, serving)

    def push(self, model, blessed=True, no_baseline=False, serving=SERVING):
        folder = pathlib.Path(model.uri).parent
        blessing, evaluation = standard_artifacts.ModelBlessing(), standard_artifacts.ModelEvaluation()
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(blessed))
        evaluation.uri = str(folder / "evaluation")
        (folder / "evaluation").mkdir(exist_ok=True)
        evidence = Evidence(baseline=self.baseline, no_baseline=no_baseline, shared_images=0)
        (folder / "evaluation/evidence.json").write_text(json.dumps(evidence._asdict()))
        pushed = standard_artifacts.PushedModel()
        pushed.uri = str(folder / "pushed")
        Executor().Do(
            {
                specs.EXAMPLES_KEY: [examples_of("tuesday", 2, 40, 6, 2), examples_of("monday", 1, 30, 4, 0)],
                specs.MODEL_KEY: [model],
                specs.INFRA_BLESSING_KEY: [infra_blessing(folder / "serving", serving)],
                specs.MODEL_BLESSING_KEY: [blessing],
                specs.EVALUATION_KEY: [evaluation],
            },
            {specs.PUSHED_MODEL_KEY: [pushed]},
            {"push_directory": str(self.serving), "source": "photo_patches"},
        )
        done, self.result = Push.read(pushed), Result.read(pushed.mlmd_artifact.custom_properties)
        if done.pushed_to:
            self.baseline = newest(str(self.serving)).model  # of the next run
        return done


@pytest.fixture
def push(tmp_path, monkeypatch):
    pushes = Pushes(tmp_path)
    monkeypatch.setattr("components.gate.pusher.read_verdict", lambda _: pushes.verdict)
    return pushes


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def versions_in(push):
    return versions(str(push.serving))


def test_a_blessed_model_is_pushed_whole_and_says_where(push):
    done = push(1.0)
    (version,) = versions_in(push)
    assert done == Push(str(push.serving / str(version)), None, None, None)
    found = contents(push.serving / str(version))
    cards = [found.pop(pathlib.Path(name)) for name in FILES]
    assert all(cards)
    assert found == contents(pathlib.Path(push.made[0].uri) / "Format-Serving")
    verify_digests(done.pushed_to)


def test_a_version_has_a_card_with_the_numbers_that_decided(push):
    push.verdict = VERDICT
    done = push(1.0)
    card = read_card(done.pushed_to)
    assert (card.version, card.series) == (int(os.path.basename(done.pushed_to)), "serving")
    assert card.model == newest(str(push.serving)).model == model_identity(saved_model_digests(push.made[0].uri))
    assert (card.figures["elbo"], card.figures["elbo_lower"]) == (-1.5, -1.5 - 1.96 * 0.25)
    assert (card.baseline["elbo"], card.labels["3"]["elbo"], card.notes) == (-2.5, -3.5, ["a note"])
    assert "elbo_gain" not in card.figures  # is not finite
    assert card.serving.latency["serving_default"]["32"] == [0.061, 0.078]
    assert card.data == Data("photo_patches", 70, 10, ["monday", "tuesday"], shared_images=0, unreadable_images=2)
    assert card.libraries["tensorflow"] == tf.__version__


@pytest.mark.parametrize(
    ("quality", "bound", "interval"),
    [
        (Quality(64, 7, 1.5, 0.25, -8.5, 0.5)._asdict(), -8.5, (-9.0, -8.0, 1.5, 1.25, 1.75, 7)),
        (Quality(64, 1, 1.5, math.nan, -8.5, math.nan)._asdict(), -8.5, (None, None, 1.5, None, None, 1)),
        ({"importance_samples": 64, "importance_weighted_bound": -8.5, "active_latents": 2}, -8.5, 6 * (None,)),
        (None, None, 6 * (None,)),
    ],
    ids=["intervals", "one image", "an earlier version", "no bound"],
)
def test_a_card_has_the_units_and_the_training_that_the_model_carries(push, quality, bound, interval):
    model, config = push.make(1.0), dataclasses.replace(RECIPE, decoder="DiscretizedLogisticMLP", seed=7)
    path = pathlib.Path(model.uri) / "Format-Serving"
    units = Units.of(config, Shape(2, 3, 1))
    write_units(units, str(path))
    epochs = [{"seconds": 30.0, "images_per_second": 1000.0}, {"seconds": 90.0, "images_per_second": 2000.0}]
    history = {"config": config.to_dict(), "best_epoch": 1, "epochs": epochs, "quality": quality}
    write_carried(history | {"base_model": "of a base"}, str(path))
    write_digests(model.uri)
    card = read_card(push.push(model).pushed_to)
    assert (card.measure.words, card.measure.shape) == (str(units), "2x3x1")
    assert card.measure.bits_per_dim == units.bits_per_dim(-1.5)
    assert card.training == Training(
        config.to_dict(), 2, 1, 120.0, 1750.0, bound, config.importance_samples, "of a base", *interval
    )


def test_a_version_whose_card_cannot_be_written_is_not_there(push, monkeypatch):
    def fill_the_disk(card, model):
        pathlib.Path(model, "assets.extra").mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish, "write_card", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        push(1.0)
    assert [path.name for path in push.serving.iterdir()] == [".lock"]


def test_a_model_without_blessing_is_not_pushed(push):
    assert push(1.0, blessed=False) == Push(None, None, None, None)
    assert not push.serving.exists()


def test_the_artifact_has_the_numbers_that_decided(push):
    push(1.0)
    assert push.result == Result(True, -1.5, 0.25, "")
    push.verdict = Verdict(False, {"elbo": float("nan")}, None, {}, ["too low", "and odd"], [])
    push(2.0, blessed=False)
    assert push.result == Result(False, None, None, "too low; and odd")


def die_before_the_move(*_):
    raise InterruptedError


def test_a_withdrawn_model_is_refused_also_when_it_is_exported_again_or_its_withdrawal_was_cut_short(push):
    first, second = (int(os.path.basename(push(number).pushed_to)) for number in (1.0, 2.0))
    withdraw(str(push.serving), first, "ada", "odd samples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aside, "_move", die_before_the_move)
        with pytest.raises(InterruptedError):
            withdraw(str(push.serving), second, "ada", "odd samples")
    assert (versions_in(push), present(str(push.serving))) == ([], [second])
    for again in (lambda: push.push(push.made[0]), lambda: push(1.0), lambda: push.push(push.made[1])):
        assert again().pushed_to is None
        assert not push.result.blessed
        assert push.result.reasons.endswith("withdrawn by ada: odd samples")
    assert versions_in(push) == []
    assert int(os.path.basename(push(3.0).pushed_to)) > second


def test_a_model_that_cannot_be_served_is_not_pushed(push):
    assert push(1.0, serving=SERVING._replace(reasons=["it fails"])) == Push(None, None, None, None)
    assert not push.serving.exists()


def test_an_unchanged_model_is_not_pushed_again_and_says_which_version_it_is(push):
    first = push(1.0)
    assert push.push(push.made[0]) == Push(None, first.pushed_to, None, None)  # the same files
    assert push(1.0) == Push(None, first.pushed_to, None, None)  # another export, whose files differ
    assert len(versions_in(push)) == 1


def lose(path):
    (path / "saved_model.pb").unlink()


def zero(path):
    (file,) = path.glob("variables/variables.data*")
    file.write_bytes(bytes(file.stat().st_size))


def flip(path):
    content = bytearray((path / "saved_model.pb").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "saved_model.pb").write_bytes(content)


def lose_digests(path):
    path.with_name(f"{path.name}.digests.json").unlink()


@pytest.mark.parametrize("damage", [lose, zero, flip, lose_digests])
def test_a_damaged_version_is_not_unchanged_but_replaced_and_quarantined(push, damage):
    first = push(1.0)
    damage(pathlib.Path(first.pushed_to))
    second = push.push(push.made[0])
    assert second.unchanged is None
    assert versions_in(push) == [int(os.path.basename(second.pushed_to))]
    assert int(os.path.basename(second.pushed_to)) > int(os.path.basename(first.pushed_to))
    verify_digests(second.pushed_to)
    assert second.damaged.startswith(f"{first.pushed_to}.damaged-")
    said = json.loads(pathlib.Path(f"{second.damaged}.json").read_text())
    assert said["reason"]
    assert push.push(push.made[0]).unchanged == second.pushed_to


def test_a_damaged_version_stays_until_its_successor_is_there(push, monkeypatch):
    first = push(1.0)
    flip(pathlib.Path(first.pushed_to))

    def fill_the_disk(source, target, **_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish.shutil, "copytree", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        push.push(push.made[0])
    assert versions_in(push) == [int(os.path.basename(first.pushed_to))]


def test_a_model_that_was_damaged_after_its_blessing_is_not_pushed(push):
    model = push.make(1.0)
    zero(pathlib.Path(model.uri) / "Format-Serving")
    with pytest.raises(ReportedError) as error:
        push.push(model)
    assert error.value.failure.value.startswith(f"{push.serving}/.incomplete-")
    assert versions_in(push) == []
    assert not [path for path in push.serving.iterdir() if path.name != ".lock"]


def test_a_damaged_version_that_another_run_pushed_meanwhile_stops_the_push(push):
    first = push(1.0)
    flip(pathlib.Path(first.pushed_to))
    push.baseline = "of an earlier model"
    with pytest.raises(ReportedError) as error:
        push(2.0)
    assert error.value.failure.value == first.pushed_to
    assert versions_in(push) == [int(os.path.basename(first.pushed_to))]


def test_a_version_of_unknown_origin_counts_as_another_model_where_no_comparison_is_wanted(push):
    (push.serving / "7").mkdir(parents=True)
    assert push(1.0, no_baseline=True).pushed_to


def test_the_leftovers_of_a_killed_push_are_removed_but_not_those_of_a_running_one(push):
    for name, age in (("killed", 2 * DAY), ("running", 0.0)):
        folder = push.serving / f".incomplete-{name}"
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age,) * 2)
    push(1.0)
    assert sorted(path.name for path in push.serving.glob(".*")) == [".incomplete-running", ".lock"]


def test_versions_grow_even_within_a_second(push):
    found = [int(os.path.basename(push(number).pushed_to)) for number in (1.0, 2.0, 3.0)]
    assert found == sorted(set(found)) == versions_in(push)


def test_versions_grow_though_the_clock_was_set_back(push, monkeypatch):
    first = push(1.0)
    monkeypatch.setattr("components.gate.publish.time", types.SimpleNamespace(time=lambda: 1000.0))
    assert int(os.path.basename(push(2.0).pushed_to)) == int(os.path.basename(first.pushed_to)) + 1


def test_a_model_that_differs_from_the_newest_version_is_pushed_though_an_older_one_is_the_same(push):
    for number in (1.0, 2.0, 1.0):
        push(number)
    assert len(versions_in(push)) == 3


def test_a_copy_that_fails_half_way_leaves_nothing(push, monkeypatch):
    def fill_the_disk(source, target, **_):
        pathlib.Path(target).mkdir(parents=True)
        pathlib.Path(target, "saved_model.pb").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish.shutil, "copytree", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        push(1.0)
    assert [path.name for path in push.serving.iterdir()] == [".lock"]


def test_no_version_is_ever_seen_incomplete_or_without_its_digests(push, monkeypatch):
    rename, seen = os.rename, []

    def watch(source, target):
        seen.append((versions_in(push), os.path.exists(f"{target}.digests.json")))
        rename(source, target)

    monkeypatch.setattr(os, "rename", watch)
    push(1.0)
    assert seen == [([], True)]  # all is copied, and no version is visible


HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_push_waits_for_another_one_whose_lock_dies_with_it(push):
    push.serving.mkdir()
    holder = [sys.executable, "-c", HOLD, str(push.serving / ".lock")]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        pushing = threading.Thread(target=push, args=(1.0,))
        pushing.start()
        pushing.join(0.5)
        assert pushing.is_alive()
        assert versions_in(push) == []
        other.kill()
        pushing.join(30.0)
    assert len(versions_in(push)) == 1


def test_folders_that_are_no_version_are_ignored(tmp_path):
    for name in ("12", "3", ".incomplete-99", "notes", "5.damaged-20260101T000000"):
        (tmp_path / name).mkdir()
    assert versions(str(tmp_path)) == [3, 12]
