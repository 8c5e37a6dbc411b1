"""A training run as it is handed to whoever runs it: this process, or workers that share a folder with it."""

import dataclasses
import json
import logging
import os
import shutil
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.errors import ReportedError, UserError
from trainer.images import IMAGE_SIZE, ImageSet
from trainer.model.vae import VAE, build
from trainer.settings import Execution, TrainConfig, check_workers
from trainer.storage.atomic import discard, reading, storing, whole
from trainer.storage.digests import DamageError, verify_digests, write_digests
from trainer.storage.tensors import verified_tensors, write_tensors
from trainer.strategy import build_strategy, check_workers_share, is_chief, leave_together
from trainer.training.loop import train_and_evaluate
from trainer.training.record import replace_scalars, scalar_files
from trainer.workers.launch import Launch

log = logging.getLogger(__name__)

GIVEN, WEIGHTS = "given", "weights"  # in the folder of the workers: what they get, and what the chief leaves
JOB = os.path.join(GIVEN, "job.json")


@dataclasses.dataclass(frozen=True)
class Job:
    """All of a training run but its images."""

    config: TrainConfig
    workdir: str  # TensorBoard scalars and history.json
    state: str  # folder of the checkpoints; a job that goes on where another one stopped has the same
    base_model: str | None = None  # SavedModel to start from
    execution: Execution = dataclasses.field(default_factory=Execution)

    def to_dict(self) -> dict[str, Any]:
        """In JSON types; `from_dict` takes them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Job":
        """Undoes `to_dict`."""
        nested = {"config": TrainConfig(**values["config"]), "execution": Execution(**values["execution"])}
        return cls(**{**values, **nested})


def run_job(job: Job, train: ImageSet, test: ImageSet, launch: Launch, apart: bool = False) -> VAE:
    """Trains here, or on workers that `launch` starts if they are several or `apart`; returns the model.

    TF_CONFIG is for workers alone: it may be left over from whoever started this process, which has made TensorFlow
    work before, so that it can be none of them.

    Raises:
      ReportedError: see `train_and_evaluate` and `launch`; what the workers left is damaged; a StorageError also for
        the job or the record.
    """
    execution, workers = job.execution, job.execution.workers
    check_workers(execution, job.config)
    if workers == 1 and not apart:
        return _run(job, train, test, build_strategy(execution.strategy))
    record = os.path.join(job.state, "record")  # a place that does not change when the same job is handed out again
    if workers > 1:
        execution = dataclasses.replace(execution, strategy="multi_worker")
    folder = _write(dataclasses.replace(job, workdir=record, execution=execution), train, test)
    launch(folder, workers)
    weights = _verified_weights(folder, record)
    _take_record(record, job.workdir)
    model = build(job.config, IMAGE_SIZE)
    tf.train.Checkpoint(model=model).read(weights).assert_consumed()
    return model


def run_worker(folder: str) -> None:
    """A worker's share of the job in `folder`; the chief leaves the weights there.

    Raises:
      UserError: the folder is not there, the strategy is not one of several workers where TF_CONFIG names them, or see
        `train_and_evaluate`.
      ReportedError: the job or its images are damaged.
      StorageError: the weights cannot be written.
    """
    job = _given(folder)
    strategy = build_strategy(job.execution.strategy)  # before TensorFlow does anything else
    check_workers_share(strategy)
    model = _run(job, _mapped(folder, "train"), _mapped(folder, "test"), strategy)
    if is_chief(strategy):
        with storing("the record of the training", job.workdir):
            write_digests(job.workdir)
        write_tensors("the weights", os.path.join(folder, WEIGHTS), tf.train.Checkpoint(model=model))
    leave_together(strategy)


def _given(folder: str) -> Job:
    """The job in `folder`, once it and its images were compared with their digests."""
    try:
        os.stat(os.path.join(folder, GIVEN))
        verify_digests(os.path.join(folder, GIVEN))
        with open(os.path.join(folder, JOB)) as file:
            return Job.from_dict(json.load(file)["job"])
    except OSError as error:
        raise UserError(
            f"{folder}: expected the job of the workers, got {error.strerror}: every worker has to see the same "
            "folder, on a disk that they share"
        ) from error
    except DamageError as error:
        raise ReportedError(
            f"the job of the workers is damaged: {error}. Start the training again: it writes the job anew, and "
            "resumes from the last checkpoint"
        ) from error


def _write(job: Job, train: ImageSet, test: ImageSet) -> str:
    """The folder, beside the checkpoints, that is all that workers get: the job, and its images to map into memory.

    If the same job, of the same images, is there and undamaged, it stays: workers that outlived their launcher may be
    running it.
    """
    folder = os.path.join(job.state, "job")
    content = {"job": job.to_dict(), "images": [train.digest(), test.digest()]}
    if _is_written(folder, content):
        return folder
    with whole("the job of the workers", folder) as unfinished:
        given = os.path.join(unfinished, GIVEN)
        os.makedirs(given)
        for name, images in (("train", train), ("test", test)):
            for part, array in images._asdict().items():
                np.save(os.path.join(given, f"{name}-{part}.npy"), array)
        with open(os.path.join(unfinished, JOB), "w") as file:
            json.dump(content, file, indent=1)
        write_digests(given)
    return folder


def _is_written(folder: str, content: dict[str, Any]) -> bool:
    if not os.path.isdir(folder):
        return False
    try:
        with reading("the job of the workers", folder):
            verify_digests(os.path.join(folder, GIVEN))
            with open(os.path.join(folder, JOB)) as file:
                return json.load(file) == content
    except DamageError as error:
        log.warning("the job of the workers is damaged (%s): it is written anew", error)
        return False


def _verified_weights(folder: str, record: str) -> str:
    """The prefix of the weights that the chief left, once they and the record were compared with their digests.

    Damaged ones are removed, so that the next start does not take their presence for the end of the work.
    """
    weights = os.path.join(folder, WEIGHTS)
    try:
        with reading("the result of the workers in", os.path.dirname(folder)):
            verify_digests(record)
            return verified_tensors(weights)
    except DamageError as error:
        discard(weights)
        raise ReportedError(
            f"what the workers left is damaged: {error}. Start the training again: it resumes from the "
            "last checkpoint, and writes that anew"
        ) from error


def _take_record(record: str, workdir: str) -> None:
    """Copies the workers' record to `workdir`, in place of the scalars of an earlier start."""
    with storing("the record of the training", workdir):
        earlier = set(scalar_files(workdir)) - set(os.listdir(record))
    for name in os.listdir(record):
        with whole("the record of the training", os.path.join(workdir, name)) as unfinished:
            shutil.copyfile(os.path.join(record, name), unfinished)
    replace_scalars(workdir, sorted(earlier))


def _run(job: Job, train: ImageSet, test: ImageSet, strategy: tf.distribute.Strategy) -> VAE:
    return train_and_evaluate(
        job.config, train, test, job.workdir, job.base_model, strategy, job.state, job.execution.checkpoint_minutes
    ).model


def _mapped(folder: str, name: str) -> ImageSet:
    parts = (os.path.join(folder, GIVEN, f"{name}-{part}.npy") for part in ImageSet._fields)
    return ImageSet(*(np.load(path, mmap_mode="r") for path in parts))
