"""The outputs of run_fn, the states of its trainings, and how a training resumes in another try, run or place."""

import json
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from components.train import run_fn, training_state
from components.train.site import SITE, Site
from components.train.training_state import claim, forget_training
from toy_data import rows, serialized
from trainer import export
from trainer.images import preprocessing
from trainer.settings import Execution
from trainer.shape import Shape
from trainer.storage.digests import write_digests
from trainer.storage.leftovers import DAY
from trainer.training.step import TrainStep

STEPS_OF_AN_EPOCH, ALL_STEPS = 5, 15
EVERY_CALL = Execution(checkpoint_minutes=0.0)  # a checkpoint after every call of the step


class KilledError(Exception):
    """The end of the process."""


@pytest.fixture(scope="session")
def inputs(exported, tmp_path_factory):
    """A state directory with Examples, a transform graph and a model, all with digests."""
    root = tmp_path_factory.mktemp("inputs")
    for split, count in (("train", 45), ("test", 9)):
        folder = root / f"examples/3/Split-{split}"
        folder.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "data.gz"), "GZIP") as writer:
            for row in rows(split, count, first_seed=0):
                writer.write(serialized(*row))
    (root / "transform/4").mkdir(parents=True)
    (root / "transform/4/graph").write_text("a graph")
    shutil.copytree(exported, root / "model/5/Format-Serving")
    for artifact in ("examples/3", "transform/4", "model/5"):
        write_digests(str(root / artifact))
    return root


@pytest.fixture
def root(inputs, tmp_path):
    """A copy of `inputs`, which may be changed and moved."""
    return shutil.copytree(inputs, tmp_path / "root")


def layer():
    return preprocessing(Shape(32, 32, 3))


def save_weights(servable, units, path, *_):
    """Writes only what `assert_same` reads of a SavedModel; the export takes longer than the training."""
    tf.train.Checkpoint(model=servable.model).write(f"{path}/variables/variables")


@pytest.fixture
def train(root, tiny, monkeypatch):
    """Runs run_fn as try number `number`, in a state directory; returns the folder of its outputs."""
    monkeypatch.setattr(run_fn.tft, "TFTransformOutput", lambda _: SimpleNamespace(transform_features_layer=layer))
    monkeypatch.setattr(run_fn, "save", save_weights)

    def start(number=1, root=root, base=False, code="1", run="", execution=EVERY_CALL, cold=False, **settings):
        monkeypatch.setattr(run_fn, "code_of", lambda node: code)
        site = Site(execution=execution, training=str(root / "training"), run=run, may_start_cold=cold)
        out = root / f"out/{number}"
        run_fn.run_fn(
            SimpleNamespace(
                custom_config={"train": {**tiny.to_dict(), **settings}, SITE: site.to_dict()},
                hyperparameters=None,
                transform_output=str(root / "transform/4"),
                train_files=[str(root / "examples/3/Split-train/*")],
                eval_files=[str(root / "examples/3/Split-test/*")],
                base_model=str(root / "model/5/Format-Serving") if base else None,
                model_run_dir=str(out / "run"),
                serving_model_dir=str(out / "model"),
            )
        )
        return out

    return start


@pytest.fixture
def state_of(train, monkeypatch):
    """The job of a training, which is not started, and whether its state exists."""

    def make(**settings):
        found = []

        def begin(job, *_):
            found.extend([job, os.path.exists(job.state)])
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(run_fn, "load_images", lambda *_: None)
            patch.setattr(run_fn, "run_job", begin)
            with pytest.raises(KilledError):
                train(**settings)
        return found

    return make


@pytest.fixture
def steps(monkeypatch):
    """Counts the steps, and ends the process before the step `killed`, if that is a number."""
    counted = SimpleNamespace(taken=0, killed=None)
    call = TrainStep.__call__

    def count(self, pixels, rows, first, stop=False):
        if counted.killed is not None and first >= counted.killed:
            raise KilledError
        counted.taken += len(rows)
        return call(self, pixels, rows, first, stop)

    monkeypatch.setattr(TrainStep, "__call__", count)
    return counted


def weights(out):
    reader = tf.train.load_checkpoint(str(out / "model/variables/variables"))
    names = set(reader.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    return {name: reader.get_tensor(name) for name in names}


def assert_same(one, other):
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    assert history(one) == history(other)


def history(out):
    content = json.loads((out / "run/history.json").read_text())
    for epoch in content["epochs"]:
        del epoch["seconds"], epoch["images_per_second"]
    return content


def states(root):
    return sorted(os.listdir(root / "training"))


def test_a_training_finds_its_own_state_however_old_and_removes_old_ones_of_others(state_of, root):
    mine, other = (state_of(code=code)[0].state for code in ("1", "2"))
    for state in (mine, other):
        os.makedirs(state)
        os.utime(state, (time.time() - 31 * DAY,) * 2)
    job, was_there = state_of(code="1")
    assert (job.state, was_there) == (mine, True)
    assert states(root) == [os.path.basename(mine)]


def test_a_training_runs_as_its_site_says(state_of):
    execution = Execution(strategy="mirrored", checkpoint_minutes=7.0)
    job, _ = state_of(execution=execution)
    assert job.execution == execution


def test_the_name_of_a_state_depends_on_its_recipe_and_inputs_and_on_no_place(state_of, root):
    def name(**settings):
        return os.path.basename(state_of(**settings)[0].state)

    def changed(path):
        was = path.read_bytes()
        path.write_bytes(was + b"more")
        write_digests(str(root / artifact))
        found = name(base=True)
        path.write_bytes(was)
        write_digests(str(root / artifact))
        return found

    cold, warm = name(), name(base=True)
    names = {cold, warm, name(code="2"), name(seed=1)}
    for artifact, file in (
        ("transform/4", "graph"),
        ("model/5", "Format-Serving/fingerprint.pb"),
    ):
        names.add(changed(root / artifact / file))
    (root / "examples/3/Split-test/readme").write_text("")
    assert name(base=True) == warm, "the recorded digests count"
    write_digests(str(root / "examples/3"))
    names.add(name(base=True))
    assert len(names) == 7
    (root / "examples/3/Split-test/readme").unlink()
    for artifact in ("examples/3", "transform/4", "model/5"):
        (root / f"{artifact}.digests.json").unlink()
    assert (name(), name(base=True)) == (cold, warm), "missing digests are computed"
    moved = root.rename(root.with_name("moved"))
    assert (name(root=moved), name(root=moved, base=True)) == (cold, warm)


def test_a_base_model_that_does_not_fit_is_left_out_where_nobody_asked_for_it(state_of):
    def job(**settings):
        return state_of(**settings)[0]

    assert job(base=True, cold=True).base_model == job(base=True).base_model is not None
    assert job(base=True, hidden_size=9).base_model is not None, "the training refuses it"
    left_out = job(base=True, hidden_size=9, cold=True)
    assert (left_out.base_model, left_out.state) == (None, job(hidden_size=9).state)


def test_a_finished_training_is_kept_until_it_is_forgotten_and_not_repeated(train, root, steps, monkeypatch):
    monkeypatch.setattr(run_fn, "save", export.save)
    first = train(1)
    assert steps.taken == ALL_STEPS
    (state,) = states(root)
    assert json.loads((first / "run/training.json").read_text()) == {"state": state}
    second = train(2)
    assert steps.taken == ALL_STEPS, "no more"
    assert_same(first, second)
    forget_training(str(second / "run"), str(root / "training"))
    assert states(root) == []


def test_a_process_that_ends_during_the_export_loses_nothing(train, root, steps, monkeypatch):
    def fail(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(run_fn, "save", fail)
        with pytest.raises(KilledError):
            train(1)
    second = train(2)
    assert steps.taken == ALL_STEPS
    forget_training(str(second / "run"), str(root / "training"))
    assert_same(train(3), second)
    assert steps.taken == 2 * ALL_STEPS, "the third started from the beginning"


def test_another_run_takes_over_a_finished_training_and_takes_no_step(train, root, steps):
    first = train(1, run="one-")
    (state,) = states(root)
    second = train(2, run="two-")
    assert steps.taken == ALL_STEPS
    assert_same(first, second)
    assert states(root) == [state.replace("one-", "two-")]
    forget_training(str(first / "run"), str(root / "training"))
    assert states(root) == [state.replace("one-", "two-")], "the first run no longer has one"
    forget_training(str(second / "run"), str(root / "training"))
    assert states(root) == []


def test_another_run_does_not_touch_an_unfinished_training(train, root, steps):
    steps.killed = STEPS_OF_AN_EPOCH
    with pytest.raises(KilledError):
        train(1, run="one-")
    (state,) = states(root)
    before = sorted((root / "training" / state).rglob("*"))
    steps.killed, steps.taken = None, 0
    train(2, run="two-")
    assert steps.taken == ALL_STEPS
    assert states(root) == sorted([state, state.replace("one-", "two-")])
    assert sorted((root / "training" / state).rglob("*")) == before


def test_one_of_many_runs_takes_over_a_finished_training(tmp_path):
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        training_state.finish(str(folder / "old-key"))
        barrier = threading.Barrier(8)

        def run(number, folder=folder, barrier=barrier):
            barrier.wait()
            claim(str(folder), f"{number}-key", "key")

        with ThreadPoolExecutor(8) as runs:
            list(runs.map(run, range(8)))  # raises what one of them raised
        (claimed,) = folder.iterdir()
        assert (claimed / "finished").exists()


def test_a_run_keeps_its_own_state_and_leaves_those_of_other_trainings(tmp_path):
    for name in ("mine-key", "other-key", "other-kez"):
        training_state.finish(str(tmp_path / name))
    claim(str(tmp_path), "mine-key", "key")
    claim(str(tmp_path), "mine-kex", "kex")
    claim(str(tmp_path / "nowhere"), "mine-key", "key")
    assert sorted(os.listdir(tmp_path)) == ["mine-key", "other-key", "other-kez"]


@pytest.mark.parametrize("base", [False, True])
def test_a_state_directory_that_was_moved_is_resumed_to_the_bit(base, train, root, steps):
    undisturbed = shutil.copytree(root, root.with_name("undisturbed"))
    expected = train(1, root=undisturbed, base=base)
    steps.killed, steps.taken = STEPS_OF_AN_EPOCH, 0
    with pytest.raises(KilledError):
        train(1, base=base)
    moved = root.rename(root.with_name("moved"))
    steps.killed = None
    assert_same(train(2, root=moved, base=base), expected)
    assert steps.taken == ALL_STEPS, "some before, the others after"


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"state": 1}', '{"state": ".."}', '{"state": ""}', '{"state": "../a"}', '{"state": "/a"}'],
)
def test_a_damaged_name_removes_nothing(content, tmp_path, caplog):
    (tmp_path / "training/a").mkdir(parents=True)
    (tmp_path / "a").mkdir()
    (tmp_path / "training.json").write_text(content)
    forget_training(str(tmp_path), str(tmp_path / "training"))
    assert (tmp_path / "training/a").exists()
    assert (tmp_path / "a").exists()
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{tmp_path}/training.json does not name the training state to remove: ")


def test_a_model_that_names_no_training_has_none_to_forget(tmp_path, caplog):
    forget_training(str(tmp_path), str(tmp_path / "training"))
    assert not caplog.records


def test_a_state_that_cannot_be_removed_is_a_warning(tmp_path, monkeypatch, caplog):
    def fail(_):
        raise tf.errors.PermissionDeniedError(None, None, "Operation not permitted")

    (tmp_path / "training/a").mkdir(parents=True)
    training_state.leave_name(str(tmp_path), "a")
    with monkeypatch.context() as patch:
        patch.setattr(tf.io.gfile, "rmtree", fail)
        forget_training(str(tmp_path), str(tmp_path / "training"))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{tmp_path}/training/a is no longer needed and cannot be removed: ")
    forget_training(str(tmp_path), str(tmp_path / "training"))
    assert not (tmp_path / "training/a").exists()
