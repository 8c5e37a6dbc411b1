import errno
import json
import os
import pathlib

import pytest
import tensorflow as tf

from replicas import SETS, some_images
from trainer.errors import ReportedError, UserError
from trainer.images import IMAGE_SIZE
from trainer.model.vae import build
from trainer.schema import SettingError
from trainer.settings import TrainConfig
from trainer.storage.digests import write_digests
from trainer.storage.tensors import write_tensors
from trainer.workers import job, worker
from trainer.workers.job import JOB, Job, run_job, run_worker
from trainer.workers.launch import WorkerError, launch_local

CONFIG = TrainConfig(hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=1, eval_samples=2)


@pytest.fixture
def handed_out(tmp_path):
    """Hands a job to workers that fail; returns the folder that they got and what identifies its files."""

    def start(config=CONFIG, workdir="work", sets=SETS):
        seen = {}

        def fail(folder, workers):
            seen.update({path.name: path.stat().st_ino for path in pathlib.Path(folder).rglob("*") if path.is_file()})
            raise WorkerError("worker 1 of 2 is gone")

        with pytest.raises(WorkerError):
            run_job(Job(config, str(tmp_path / workdir), str(tmp_path / "state")), *sets, 2, fail)
        return seen

    return start


def test_a_job_that_is_handed_out_again_is_left_to_the_workers_that_may_be_at_it(handed_out):
    assert handed_out() == handed_out(workdir="of-the-next-try")


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
    return json.loads((pathlib.Path(folder) / JOB).read_text())["job"]["strategy"]


@pytest.mark.parametrize("strategy", ["auto", "multi_worker"])
def test_several_workers_share_a_strategy_whatever_each_of_them_would_find(strategy, tmp_path):
    def look(folder, workers):
        assert strategy_of(folder) == "multi_worker"
        raise WorkerError("seen")

    with pytest.raises(WorkerError, match="seen"):
        run_job(Job(CONFIG, str(tmp_path), str(tmp_path / "state"), strategy=strategy), *SETS, 2, look)


def test_a_single_worker_apart_gets_the_strategy_of_its_own_device(tmp_path):
    def look(folder, workers):
        assert (strategy_of(folder), workers) == ("tpu", 1)
        raise WorkerError("seen")

    with pytest.raises(WorkerError, match="seen"):
        run_job(Job(CONFIG, str(tmp_path), str(tmp_path / "state"), strategy="tpu"), *SETS, 1, look, apart=True)


@pytest.mark.parametrize("strategy", ["default", "mirrored", "tpu", "tpu:mine"])
def test_several_workers_cannot_have_a_strategy_of_one(strategy, tmp_path):
    job = Job(CONFIG, str(tmp_path / "work"), str(tmp_path / "state"), strategy=strategy)
    with pytest.raises(
        SettingError, match=f"^strategy: expected auto or multi_worker with 2 workers, got '{strategy}'"
    ):
        run_job(job, *SETS, 2, launch_local)
    assert not (tmp_path / "state").exists()


def test_a_worker_that_would_train_for_itself_is_stopped(tmp_path, monkeypatch):
    """As if it had found a device of its own: each of them would be the chief."""

    def work_here(folder, workers):
        path = pathlib.Path(folder, JOB)
        path.write_text(path.read_text().replace('"multi_worker"', '"default"'))
        write_digests(str(path.parent))
        monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}}')
        run_worker(folder)

    with pytest.raises(UserError, match=r"^TF_CONFIG names 2 workers: expected strategy multi_worker, got "):
        run_job(Job(CONFIG, str(tmp_path), str(tmp_path / "state")), *SETS, 2, work_here)


STALE = '{"cluster": {"worker": ["host-0:1", "host-1:1"]}, "task": {"type": "worker", "index": 1}}'


@pytest.fixture
def nobody_waits(monkeypatch):
    """For workers that are not there."""
    monkeypatch.delattr(tf.distribute, "MultiWorkerMirroredStrategy")


@pytest.mark.usefixtures("nobody_waits")
@pytest.mark.parametrize("config", ["no JSON", STALE])
def test_a_training_in_one_process_does_not_care_for_what_others_left_in_tf_config(config, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    run_job(Job(CONFIG, str(tmp_path), str(tmp_path / "state")), *SETS, 1, launch_local)
    assert (tmp_path / "history.json").exists()


@pytest.mark.usefixtures("nobody_waits")
def test_workers_that_tf_config_names_are_not_started_by_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", STALE)
    job = Job(CONFIG, str(tmp_path), str(tmp_path / "state"), strategy="multi_worker")
    with pytest.raises(
        SettingError, match=r"^workers: expected several with strategy multi_worker: use --workers N, got"
    ):
        run_job(job, *SETS, 1, launch_local)


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
            "the weights", os.path.join(folder, "weights"), tf.train.Checkpoint(model=build(CONFIG, IMAGE_SIZE))
        )

    return leave


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_record_of_the_workers_comes_to_the_folder_of_the_try_that_ends_well(leave_result, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/events.out.tfevents.1").write_text("of a start without workers")
    run_job(Job(CONFIG, str(tmp_path / "work"), str(tmp_path / "state")), *SETS, 2, leave_result)
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
    name, damage, handed_out, tmp_path, capsys, caplog
):
    whole = handed_out()
    path = tmp_path / "state/job" / name
    content = path.read_bytes()
    DAMAGES[damage](path)
    assert worker.main([str(tmp_path / "state/job")]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"trainer: the job of the workers is damaged: {tmp_path}/state/job/given")
    assert said.endswith("Start the training again: it writes the job anew, and resumes from the last checkpoint")
    anew = handed_out()
    assert path.read_bytes() == content
    assert not set(whole.values()) & set(anew.values())
    assert ["written anew" in record.getMessage() for record in caplog.records] == [True]
    assert handed_out() == anew, "once"


def test_a_job_that_cannot_be_read_for_now_is_left_as_it_is(handed_out, tmp_path, monkeypatch):
    whole = handed_out()

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(job, "verify_digests", fail)
        with pytest.raises(ReportedError, match="state/job cannot be read: Input/output error") as error:
            run_job(Job(CONFIG, str(tmp_path / "work"), str(tmp_path / "state")), *SETS, 2, launch_local)
    assert error.value.exit_code == 1
    assert handed_out() == whole


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "header"])
@pytest.mark.parametrize(
    "name",
    ["job/weights/data/state.index", "job/weights/data.digests.json", "record/history.json", "record.digests.json"],
)
def test_a_damaged_result_of_workers_is_one_sentence_and_is_not_taken_for_one_again(
    name, damage, leave_result, tmp_path
):
    def leave_damaged(folder, workers):
        leave_result(folder, workers)
        DAMAGES[damage](tmp_path / "state" / name)

    this = Job(CONFIG, str(tmp_path / "work"), str(tmp_path / "state"))
    with pytest.raises(ReportedError) as error:
        run_job(this, *SETS, 2, leave_damaged)
    assert error.value.exit_code == 1
    assert str(error.value).startswith(f"what the workers left is damaged: {tmp_path}/state/")
    assert "Start the training again: it resumes from the last checkpoint" in str(error.value)
    assert not (tmp_path / "state/job/weights").exists()
    assert not (tmp_path / "work").exists()
    run_job(this, *SETS, 2, leave_result)
    assert (tmp_path / "work/history.json").exists()
