"""A training run as it is handed to whoever runs it: this process, or workers that share a folder with it."""

import dataclasses
import json
import os
import shutil
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.config import TrainConfig, check_workers
from trainer.errors import UserError
from trainer.images import IMAGE_SIZE, ImageSet
from trainer.launch import Launch
from trainer.loop import train_and_evaluate
from trainer.record import remove_scalars
from trainer.storage import storing, whole
from trainer.strategy import build_strategy, check_workers_share, is_chief, leave_together
from trainer.vae import VAE, build

JOB, WEIGHTS = "job.json", "weights"  # in the folder of the workers


@dataclasses.dataclass(frozen=True)
class Job:
    """All of a training run but its images."""

    config: TrainConfig
    workdir: str  # TensorBoard scalars and history.json
    state: str  # folder of the checkpoints; a job that goes on where another one stopped has the same
    base_model: str | None = None  # SavedModel to start from
    strategy: str = "auto"
    checkpoint_minutes: float = 5.0

    def to_dict(self) -> dict[str, Any]:
        """In JSON types; `from_dict` takes them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Job":
        """Undoes `to_dict`."""
        return cls(**{**values, "config": TrainConfig.from_dict(values["config"])})


def run_job(job: Job, train: ImageSet, test: ImageSet, workers: int, launch: Launch, apart: bool = False) -> VAE:
    """Trains here, or on workers that `launch` starts if they are several or `apart`; returns the model.

    TF_CONFIG is for workers alone: it may be left over from whoever started this process, which has made TensorFlow
    work before, so that it can be none of them.

    Raises:
      ReportedError: see `train_and_evaluate` and `launch`; a StorageError also for the job or the record.
    """
    check_workers(workers, job.strategy, job.config)
    if workers == 1 and not apart:
        return _run(job, train, test, build_strategy(job.strategy))
    record = os.path.join(job.state, "record")  # a place that does not change when the same job is handed out again
    strategy = "multi_worker" if workers > 1 else job.strategy
    folder = _write(dataclasses.replace(job, workdir=record, strategy=strategy), train, test)
    launch(folder, workers)
    with storing("the record of the training", job.workdir):
        remove_scalars(job.workdir)  # of a start without workers
        shutil.copytree(record, job.workdir, dirs_exist_ok=True)
    model = build(job.config, IMAGE_SIZE)
    tf.train.Checkpoint(model=model).read(os.path.join(folder, WEIGHTS)).assert_consumed()
    return model


def run_worker(folder: str) -> None:
    """A worker's share of the job in `folder`; the chief leaves the weights there.

    Raises:
      UserError: the folder is not there, the strategy is not one of several workers where TF_CONFIG names them, or see
        `train_and_evaluate`.
      StorageError: the weights cannot be written.
    """
    try:
        with open(os.path.join(folder, JOB)) as file:
            job = Job.from_dict(json.load(file)["job"])
    except OSError as error:
        raise UserError(
            f"{folder}: expected the job of the workers, got {error.strerror}: every worker has to see the same "
            "folder, on a disk that they share"
        ) from error
    strategy = build_strategy(job.strategy)  # before TensorFlow does anything else
    check_workers_share(strategy)
    model = _run(job, _mapped(folder, "train"), _mapped(folder, "test"), strategy)
    if is_chief(strategy):
        with storing("the weights", folder):
            tf.train.Checkpoint(model=model).write(os.path.join(folder, WEIGHTS))
    leave_together(strategy)


def _write(job: Job, train: ImageSet, test: ImageSet) -> str:
    """The folder, beside the checkpoints, that is all that workers get: the job, and its images to map into memory.

    If the same job, of the same images, is there it stays as it is: workers that outlived their launcher may be at it.
    """
    folder = os.path.join(job.state, "job")
    content = {"job": job.to_dict(), "images": [train.digest(), test.digest()]}
    if _is_written(folder, content):
        return folder
    with whole("the job of the workers", folder) as unfinished:
        os.makedirs(unfinished)
        for name, images in (("train", train), ("test", test)):
            for part, array in images._asdict().items():
                np.save(os.path.join(unfinished, f"{name}-{part}.npy"), array)
        with open(os.path.join(unfinished, JOB), "w") as file:
            json.dump(content, file, indent=1)
    return folder


def _is_written(folder: str, content: dict[str, Any]) -> bool:
    try:
        with open(os.path.join(folder, JOB)) as file:
            return json.load(file) == content
    except (OSError, ValueError):
        return False


def _run(job: Job, train: ImageSet, test: ImageSet, strategy: tf.distribute.Strategy) -> VAE:
    return train_and_evaluate(
        job.config, train, test, job.workdir, job.base_model, strategy, job.state, job.checkpoint_minutes
    ).model


def _mapped(folder: str, name: str) -> ImageSet:
    parts = (os.path.join(folder, f"{name}-{part}.npy") for part in ImageSet._fields)
    return ImageSet(*(np.load(path, mmap_mode="r") for path in parts))
