import os
import pathlib

import pytest
import tensorflow as tf

from replicas import SETS, some_images
from trainer.config import TrainConfig
from trainer.images import IMAGE_SIZE
from trainer.job import Job, run_job
from trainer.launch import WorkerError
from trainer.vae import build

CONFIG = TrainConfig(hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=1, eval_samples=2)


@pytest.fixture
def handed_out(tmp_path):
    """Hands a job to workers that fail; returns the folder that they got and what identifies its files."""

    def start(config=CONFIG, workdir="work", sets=SETS):
        seen = {}

        def fail(folder, workers):
            seen.update({path.name: path.stat().st_ino for path in pathlib.Path(folder).iterdir()})
            raise WorkerError("worker 1 of 2 is gone")

        with pytest.raises(WorkerError):
            run_job(Job(config, str(tmp_path / workdir), str(tmp_path / "state")), *sets, 2, fail)
        return seen

    return start


def test_a_job_that_is_handed_out_again_is_left_to_the_workers_that_may_be_at_it(handed_out):
    assert handed_out() == handed_out(workdir="of-the-next-try")


OTHERS = {
    "settings": {"config": TrainConfig.from_dict({**CONFIG.to_dict(), "seed": 1})},
    "training images": {"sets": (some_images(64, seed=3), SETS[1])},
    "test images": {"sets": (SETS[0], some_images(37, seed=3))},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_job_of_other_settings_or_images_replaces_it(handed_out, other):
    first, second = handed_out(), handed_out(**other)
    assert set(first) == set(second)
    assert not set(first.values()) & set(second.values())


def test_the_record_of_the_workers_comes_to_the_folder_of_the_try_that_ends_well(tmp_path):
    def train(folder, workers):
        pathlib.Path(folder).parent.joinpath("record").mkdir()
        pathlib.Path(folder).parent.joinpath("record/history.json").write_text("{}")
        tf.train.Checkpoint(model=build(CONFIG, IMAGE_SIZE)).write(os.path.join(folder, "weights"))

    run_job(Job(CONFIG, str(tmp_path / "work"), str(tmp_path / "state")), *SETS, 2, train)
    assert (tmp_path / "work/history.json").read_text() == "{}"
