"""A job is handed out whole, stays while workers may be at it, and its result is verified before it is taken."""

import errno
import json
import os
import pathlib
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from replicas import SETS, on_disk, some_images
from trainer import images
from trainer.errors import ReportedError, UnreadableError, UserError
from trainer.failure import left
from trainer.model.build import build
from trainer.schema import SettingError
from trainer.settings import Execution, TrainConfig
from trainer.shape import Shape
from trainer.storage import quarantine
from trainer.storage.digests import write_digests
from trainer.storage.tensors import write_tensors
from trainer.workers import job, worker
from trainer.workers.job import JOB, Job, run_job, run_worker
from trainer.workers.launch import ERROR_FILE, WorkerError, launch_local

CONFIG = TrainConfig(
    hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=1, eval_samples=2, importance_samples=0
)


@pytest.fixture
def make_job(tmp_path):
    """A job in folders of this test."""

    def make(config=CONFIG, workdir="work", **execution):
        return Job(config, str(tmp_path / workdir), str(tmp_path / "state"), execution=Execution(**execution))

    return make


@pytest.fixture
def handed_out(make_job):
    """Hands a job to workers that fail; returns the folder that they got and what identifies its files."""

    def start(config=CONFIG, workdir="work", sets=SETS):
        seen = {}

        def fail(folder, workers):
            seen.update({path.name: path.stat().st_ino for path in pathlib.Path(folder).rglob("*") if path.is_file()})
            raise WorkerError("worker 1 of 2 is gone")

        with pytest.raises(WorkerError):
            run_job(make_job(config, workdir, workers=2), *sets, fail)
        return seen

    return start


def test_a_job_that_is_handed_out_again_is_left_to_the_workers_that_may_be_at_it(handed_out):
    assert handed_out() == handed_out(workdir="of-the-next-try")


def test_workers_get_the_images_that_the_launcher_has_on_disk(handed_out, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "CHUNK_BYTES", 10 * 3072)
    handed_out(sets=[*map(on_disk, SETS)])
    for name, expected in zip(("train", "test"), SETS, strict=True):
        for part, array in expected._asdict().items():
            np.testing.assert_array_equal(np.load(tmp_path / f"state/job/given/{name}-{part}.npy"), array)


OTHERS = {
    "settings": {"config": TrainConfig(**{**CONFIG.to_dict(), "seed": 1})},
    "training images": {"sets": (some_images(64, seed=3), SETS[1])},
    "test images": {"sets": (SETS[0], some_images(37, seed=3))},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_job_of_other_settings_or_images_replaces_it(handed_out, other):
    first, second = handed_out(), handed_out(**other)
    assert set(first) == set(second)
    assert not set(first.values()) & set(second.values())


def strategy_of(folder):
    return json.loads((pathlib.Path(folder) / JOB).read_text())["job"]["execution"]["strategy"]


@pytest.mark.parametrize("strategy", ["auto", "multi_worker"])
def test_several_workers_share_a_strategy_whatever_each_of_them_would_find(strategy, make_job):
    def look(folder, workers):
        assert (strategy_of(folder), workers) == ("multi_worker", 2)
        raise WorkerError("seen")

    with pytest.raises(WorkerError, match="seen"):
        run_job(make_job(strategy=strategy, workers=2), *SETS, look)


def test_a_single_worker_apart_gets_the_strategy_of_its_own_device(make_job):
    def look(folder, workers):
        assert (strategy_of(folder), workers) == ("tpu", 1)
        raise WorkerError("seen")

    with pytest.raises(WorkerError, match="seen"):
        run_job(make_job(strategy="tpu"), *SETS, look, apart=True)


def test_workers_that_cannot_train_together_are_refused_before_anything_is_written(make_job, tmp_path):
    with pytest.raises(SettingError) as error:
        run_job(make_job(strategy="mirrored", workers=2), *SETS, launch_local)
    assert (error.value.setting, error.value.failure.value) == ("strategy", "mirrored")
    assert not list(tmp_path.iterdir())


def test_a_worker_that_would_train_for_itself_is_stopped(make_job, monkeypatch):
    """As if it had found a device of its own: each of them would be the chief."""

    def work_here(folder, workers):
        path = pathlib.Path(folder, JOB)
        path.write_text(path.read_text().replace('"multi_worker"', '"default"'))
        write_digests(str(path.parent))
        monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}}')
        run_worker(folder)

    with pytest.raises(UserError) as error:
        run_job(make_job(workers=2), *SETS, work_here)
    assert error.value.failure.value == type(tf.distribute.get_strategy()).__name__


STALE = '{"cluster": {"worker": ["host-0:1", "host-1:1"]}, "task": {"type": "worker", "index": 1}}'


@pytest.fixture
def nobody_waits(monkeypatch):
    """For workers that are not there."""
    monkeypatch.delattr(tf.distribute, "MultiWorkerMirroredStrategy")


@pytest.mark.usefixtures("nobody_waits")
@pytest.mark.parametrize("config", ["no JSON", STALE])
def test_a_training_in_one_process_ignores_a_tf_config_that_others_left(config, make_job, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    monkeypatch.setattr(job, "train_and_evaluate", lambda *_: SimpleNamespace(model="trained"))
    assert run_job(make_job(), *SETS, launch_local) == "trained"


@pytest.mark.usefixtures("nobody_waits")
def test_workers_that_tf_config_names_are_not_started_by_one_process(make_job, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", STALE)
    with pytest.raises(SettingError) as error:
        run_job(make_job(strategy="multi_worker"), *SETS, launch_local)
    assert (error.value.setting, error.value.failure.value) == ("workers", 1)


@pytest.fixture
def leave_result():
    """What a chief leaves, without the training."""

    def leave(folder, workers):
        record = pathlib.Path(folder).with_name("record")
        record.mkdir(exist_ok=True)
        (record / "history.json").write_text("{}")
        (record / "events.out.tfevents.2").write_text("of the workers")
        write_digests(str(record))
        write_tensors(
            "the weights", os.path.join(folder, "weights"), tf.train.Checkpoint(model=build(CONFIG, Shape(32, 32, 3)))
        )

    return leave


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_record_of_the_workers_comes_to_the_folder_of_the_try_that_ends_well(leave_result, make_job, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/events.out.tfevents.1").write_text("of a start without workers")
    run_job(make_job(workers=2), *SETS, leave_result)
    assert (tmp_path / "work/history.json").read_text() == "{}"
    assert names(tmp_path / "work") == ["events.out.tfevents.2", "history.json"], "TensorBoard would show epochs twice"


def flip(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


DAMAGES = {
    "gone": lambda path: path.unlink(),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "flipped": flip,
    "header": lambda path: path.write_bytes(path.read_bytes().replace(b"|u1", b"|i1").replace(b"<i8", b"<f8")),
    "empty": lambda path: path.write_bytes(b""),
}
PARTS = [f"given/{split}-{part}.npy" for split in ("train", "test") for part in ("pixels", "noise_seeds")]


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in PARTS for damage in DAMAGES]
    + [(name, damage) for name in ("given/job.json", "given.digests.json") for damage in DAMAGES if damage != "header"],
)
def test_a_job_that_is_damaged_is_refused_by_workers_and_written_anew(
    name, damage, handed_out, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "error.json"))
    whole = handed_out()
    path = tmp_path / "state/job" / name
    content = path.read_bytes()
    DAMAGES[damage](path)
    assert worker.main([str(tmp_path / "state/job")]) == 1
    assert left(str(tmp_path / "error.json")).value.startswith(f"{tmp_path}/state/job/given")
    anew = handed_out()
    assert path.read_bytes() == content
    assert not set(whole.values()) & set(anew.values())
    assert len(caplog.records) == 1
    assert handed_out() == anew, "once"


def test_a_job_that_cannot_be_read_for_now_is_left_as_it_is(handed_out, make_job, tmp_path, monkeypatch):
    whole = handed_out()

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(quarantine, "verify_digests", fail)
        with pytest.raises(UnreadableError) as error:
            run_job(make_job(workers=2), *SETS, launch_local)
    assert (error.value.failure.value, error.value.exit_code) == (f"{tmp_path}/state/job/given", 1)
    assert handed_out() == whole


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "header"])
@pytest.mark.parametrize(
    "name",
    ["job/weights/data/state.index", "job/weights/data.digests.json", "record/history.json", "record.digests.json"],
)
def test_a_damaged_result_of_workers_is_one_sentence_and_is_not_taken_for_one_again(
    name, damage, leave_result, make_job, tmp_path
):
    def leave_damaged(folder, workers):
        leave_result(folder, workers)
        DAMAGES[damage](tmp_path / "state" / name)

    this = make_job(workers=2)
    with pytest.raises(ReportedError) as error:
        run_job(this, *SETS, leave_damaged)
    assert error.value.exit_code == 1
    assert error.value.failure.value.startswith(f"{tmp_path}/state/")
    assert not (tmp_path / "state/job/weights").exists()
    assert not (tmp_path / "work").exists()
    run_job(this, *SETS, leave_result)
    assert (tmp_path / "work/history.json").exists()
