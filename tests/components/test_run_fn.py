"""What run_fn makes of TFX's arguments, before anything is trained."""

import os
import time
from types import SimpleNamespace

import pytest

from components import run_fn
from components.leftovers import DAY
from components.site import here
from trainer.config import TrainConfig


class ReadyError(Exception):
    """The training would begin."""


@pytest.fixture
def job_of(tmp_path, monkeypatch):
    """The job that the arguments come to, and whether its state was there when it began."""

    def make(**custom):
        found = []

        def begin(job, *_):
            found.extend([job, os.path.exists(job.state)])
            raise ReadyError

        monkeypatch.setattr(run_fn, "run_job", begin)
        monkeypatch.setattr(run_fn, "load_images", lambda *_: None)
        monkeypatch.setattr(run_fn.tft, "TFTransformOutput", lambda _: SimpleNamespace(transform_features_layer=str))
        arguments = {
            "custom_config": {
                "train": TrainConfig().to_dict(),
                "code": "1",
                "warm_start": False,
                "strategy": "auto",
                "workers": 1,
                "state": str(tmp_path / "training"),
                **custom,
            },
            "model_run_dir": str(tmp_path / "run"),
            **dict.fromkeys(("hyperparameters", "transform_output", "train_files", "eval_files", "base_model")),
        }
        with pytest.raises(ReadyError):
            run_fn.run_fn(SimpleNamespace(**arguments))
        return found

    return make


def test_a_training_finds_its_own_state_however_old_and_clears_that_of_others(job_of, tmp_path):
    mine, other = (job_of(code=code)[0].state for code in ("1", "2"))
    for state in (mine, other):
        os.makedirs(state)
        os.utime(state, (time.time() - 31 * DAY,) * 2)
    job, was_there = job_of(code="1")
    assert (job.state, was_there) == (mine, True)
    assert os.listdir(tmp_path / "training") == [os.path.basename(mine)]


def test_checkpoints_come_as_often_as_the_place_says(job_of, monkeypatch):
    monkeypatch.setattr(here, "checkpoint_minutes", 7.0)
    assert job_of()[0].checkpoint_minutes == 7.0
