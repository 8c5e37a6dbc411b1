"""What run_fn makes of TFX's arguments, what it leaves, and how a training goes on in another try, run or place."""

import json
import os
import pathlib
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from components.train import run_fn, training_state
from components.train.site import Site
from components.train.training_state import claim, forget_training
from trainer.export import Servable, save
from trainer.images import ImageSet, pixel_model, preprocess
from trainer.model.vae import build
from trainer.settings import TrainConfig
from trainer.storage.digests import write_digests
from trainer.storage.leftovers import DAY
from trainer.training.step import TrainStep
from trainer.units import Units

CONFIG = TrainConfig(hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=3, eval_samples=2)
STEPS_OF_AN_EPOCH = 5


class KilledError(Exception):
    """The process ends here."""


@pytest.fixture
def here(monkeypatch, tmp_path):
    """The place where the node runs; every call has a checkpoint."""
    site = Site(training=str(tmp_path / "root/training"), checkpoint_minutes=0.0)
    monkeypatch.setattr(run_fn, "here", site)
    monkeypatch.setattr(run_fn.tft, "TFTransformOutput", lambda _: SimpleNamespace(transform_features_layer=layer))
    return site


def layer():
    return preprocess


@pytest.fixture
def root(tmp_path):
    """A state directory with Examples, a transform graph and a model."""
    rng = np.random.default_rng(0)
    root = tmp_path / "root"
    for split, count in (("train", 45), ("test", 9)):
        folder = root / f"examples/3/Split-{split}"
        folder.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "data.gz"), "GZIP") as writer:
            for i in range(count):
                writer.write(example(rng, f"{split}_{i}"))
    (root / "transform/4").mkdir(parents=True)
    (root / "transform/4/graph").write_text("a graph")
    nothing = ImageSet(np.zeros([1, 3072], np.uint8), np.zeros([1], np.int64))
    base = Servable(build(CONFIG, 3072), pixel_model(nothing), 1, preprocess)
    save(base, Units.of(CONFIG), str(root / "model/5/Format-Serving"))
    for artifact in ("examples/3", "transform/4", "model/5"):
        write_digests(str(root / artifact))
    return root


def example(rng, name):
    image = tf.io.encode_png(rng.integers(0, 256, [32, 32, 3], np.uint8)).numpy()
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[0])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@pytest.fixture
def train(here, root, monkeypatch):
    """Runs run_fn as try number `number`, in a state directory; returns the folder of its outputs."""

    def start(number=1, root=root, base=False, code="1", **custom):
        monkeypatch.setattr(run_fn, "code_of", lambda node: code)
        here.training = str(root / "training")
        out = root / f"out/{number}"
        run_fn.run_fn(
            SimpleNamespace(
                custom_config={"train": CONFIG.to_dict(), **custom},
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
    """The path of the state of a training, which is not begun, and whether it was there."""

    def make(**settings):
        found = []

        def begin(job, *_):
            found.extend([job, os.path.exists(job.state)])
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(run_fn, "run_job", begin)
            with pytest.raises(KilledError):
                train(**settings)
        return found

    return make


@pytest.fixture
def steps(monkeypatch):
    """Counts the steps that are taken, and kills the process before one if `killed` says which."""
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


def states(here):
    return sorted(os.listdir(here.training))


def test_a_training_finds_its_own_state_however_old_and_clears_that_of_others(state_of, here):
    mine, other = (state_of(code=code)[0].state for code in ("1", "2"))
    for state in (mine, other):
        os.makedirs(state)
        os.utime(state, (time.time() - 31 * DAY,) * 2)
    job, was_there = state_of(code="1")
    assert (job.state, was_there) == (mine, True)
    assert states(here) == [os.path.basename(mine)]


def test_the_place_says_where_a_training_runs(state_of, here):
    here.checkpoint_minutes, here.strategy = 7.0, "mirrored"
    job, _ = state_of()
    assert (job.checkpoint_minutes, job.strategy) == (7.0, "mirrored")


def test_the_name_of_a_state_comes_of_what_it_is_made_from_and_of_no_place(state_of, root, here):
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
    names = {cold, warm, name(code="2"), name(train={**CONFIG.to_dict(), "seed": 1})}
    for artifact, file in (
        ("transform/4", "graph"),
        ("model/5", "Format-Serving/fingerprint.pb"),
    ):
        names.add(changed(root / artifact / file))
    (root / "examples/3/Split-test/readme").write_text("")
    assert name(base=True) == warm, "what was recorded is what counts"
    write_digests(str(root / "examples/3"))
    names.add(name(base=True))
    assert len(names) == 7
    (root / "examples/3/Split-test/readme").unlink()
    for artifact in ("examples/3", "transform/4", "model/5"):
        (root / f"{artifact}.digests.json").unlink()
    assert (name(), name(base=True)) == (cold, warm), "where no digests are recorded they are computed"
    moved = root.rename(root.with_name("moved"))
    assert (name(root=moved), name(root=moved, base=True)) == (cold, warm)


def test_a_finished_training_is_kept_until_it_is_forgotten_and_not_done_again(train, here, steps):
    first = train(1)
    assert steps.taken == CONFIG.epochs * STEPS_OF_AN_EPOCH
    (state,) = states(here)
    assert json.loads((first / "run/training.json").read_text()) == {"state": state}
    second = train(2)
    assert steps.taken == CONFIG.epochs * STEPS_OF_AN_EPOCH, "none more"
    assert_same(first, second)
    forget_training(str(second / "run"), here.training)
    assert states(here) == []


def test_a_process_that_ends_in_the_export_has_lost_nothing(train, steps, monkeypatch, here):
    def fail(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(run_fn, "save", fail)
        with pytest.raises(KilledError):
            train(1)
    taken = steps.taken
    second = train(2)
    assert steps.taken == taken
    forget_training(str(second / "run"), here.training)
    assert_same(train(3), second)
    assert steps.taken == 2 * taken, "the third began anew"


def test_another_run_takes_over_what_is_finished_and_trains_no_step(train, here, steps):
    here.run = "one-"
    first = train(1)
    (state,) = states(here)
    taken = steps.taken
    here.run = "two-"
    second = train(2)
    assert steps.taken == taken
    assert_same(first, second)
    assert states(here) == [state.replace("one-", "two-")]
    forget_training(str(first / "run"), here.training)
    assert states(here) == [state.replace("one-", "two-")], "the first run has none any more"
    forget_training(str(second / "run"), here.training)
    assert states(here) == []


def test_another_run_does_not_touch_what_is_not_finished(train, here, steps):
    here.run = "one-"
    steps.killed = STEPS_OF_AN_EPOCH
    with pytest.raises(KilledError):
        train(1)
    (state,) = states(here)
    before = sorted(pathlib.Path(here.training, state).rglob("*"))
    here.run, steps.killed, steps.taken = "two-", None, 0
    train(2)
    assert steps.taken == CONFIG.epochs * STEPS_OF_AN_EPOCH
    assert states(here) == sorted([state, state.replace("one-", "two-")])
    assert sorted(pathlib.Path(here.training, state).rglob("*")) == before


def test_of_many_runs_one_takes_over_a_finished_training(tmp_path):
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
    taken, steps.killed, steps.taken = steps.taken, STEPS_OF_AN_EPOCH, 0
    with pytest.raises(KilledError):
        train(1, base=base)
    moved = root.rename(root.with_name("moved"))
    steps.killed = None
    assert_same(train(2, root=moved, base=base), expected)
    assert steps.taken == taken, "some before, the others after"


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"state": 1}', '{"state": ".."}', '{"state": ""}', '{"state": "../a"}', '{"state": "/a"}'],
)
def test_a_name_that_was_damaged_removes_nothing(content, tmp_path, caplog):
    (tmp_path / "training/a").mkdir(parents=True)
    (tmp_path / "a").mkdir()
    (tmp_path / "training.json").write_text(content)
    forget_training(str(tmp_path), str(tmp_path / "training"))
    assert (tmp_path / "training/a").exists()
    assert (tmp_path / "a").exists()
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"{tmp_path}/training.json does not say which state of a training to remove: "
    )


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
