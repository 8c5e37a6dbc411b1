"""A training job, run by this process or by workers that share a folder with it."""

import dataclasses
import json
import logging
import os
import pathlib
import shutil
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.errors import ReportedError, UserError
from trainer.images import ImageSet
from trainer.model.build import build
from trainer.model.latent_model import LatentModel
from trainer.settings import Execution, TrainConfig, check_workers
from trainer.storage.atomic import discard, reading, storing, whole
from trainer.storage.digests import DamageError, verify_digests, write_digests
from trainer.storage.quarantine import damage
from trainer.storage.rows import DiskArray
from trainer.storage.tensors import verified_tensors, write_tensors
from trainer.strategy import build_strategy, check_workers_share, is_chief, leave_together
from trainer.training.loop import train_and_evaluate
from trainer.training.record import replace_scalars, scalar_files
from trainer.workers.launch import Launch

log = logging.getLogger(__name__)

GIVEN, WEIGHTS = "given", "weights"  # in the workers' folder: their input, and the chief's result
JOB = os.path.join(GIVEN, "job.json")


@dataclasses.dataclass(frozen=True)
class Job:
    """A training run without its images."""

    config: TrainConfig
    workdir: str  # folder of TensorBoard scalars and history.json
    state: str  # folder of the checkpoints; a job that resumes another one has the same
    base_model: str | None = None  # SavedModel to start from
    execution: Execution = dataclasses.field(default_factory=Execution)


def run_job(job: Job, train: ImageSet, test: ImageSet, launch: Launch, apart: bool = False) -> LatentModel:
    """Trains in this process, or on workers that `launch` starts if there are several or `apart`; returns the model.

    This process ignores TF_CONFIG, which only workers use and which may come from its parent.

    Raises:
      ReportedError: see `train_and_evaluate` and `launch`; or the workers' result is damaged.
      StorageError: the job or the record cannot be written.
    """
    execution, workers = job.execution, job.execution.workers
    check_workers(execution, job.config)
    if workers == 1 and not apart:
        return _run(job, train, test, build_strategy(execution.strategy))
    record = os.path.join(job.state, "record")  # the same for every attempt at the job, unlike job.workdir
    if workers > 1:
        execution = dataclasses.replace(execution, strategy="multi_worker")
    folder = _write(dataclasses.replace(job, workdir=record, execution=execution), train, test)
    launch(folder, workers)
    weights = _verified_weights(folder, record)
    _take_record(record, job.workdir)
    model = build(job.config, train.shape)
    tf.train.Checkpoint(model=model).read(weights).assert_consumed()
    return model


def run_worker(folder: str) -> None:
    """Does one worker's share of the job in `folder`, where the chief writes the weights.

    Raises:
      UserError: the folder is missing, or the strategy would train separately in each of several workers; or see
        `train_and_evaluate`.
      ReportedError: the job or its images are damaged.
      StorageError: the weights cannot be written.
    """
    job = _given(folder)
    strategy = build_strategy(job.execution.strategy)  # before any other TensorFlow operation
    check_workers_share(strategy)
    model = _run(job, _read(folder, "train"), _read(folder, "test"), strategy)
    if is_chief(strategy):
        with storing("the record of the training", job.workdir):
            write_digests(job.workdir)
        write_tensors("the weights", os.path.join(folder, WEIGHTS), tf.train.Checkpoint(model=model))
    leave_together(strategy)


def _given(folder: str) -> Job:
    """Reads the job in `folder`, after comparing it and its images with their digests."""
    given = os.path.join(folder, GIVEN)
    if not os.path.isdir(given):
        raise UserError(f"{given} is missing", value=given, remedy="Put it on a disk that all workers share")
    if what := damage(given):
        remedy = "Start the training again: it writes the job again and resumes from the last checkpoint"
        raise ReportedError(f"the workers' job is damaged: {what}", value=given, remedy=remedy)
    values = json.loads(pathlib.Path(folder, JOB).read_text())["job"]
    nested = {"config": TrainConfig(**values["config"]), "execution": Execution(**values["execution"])}
    return Job(**{**values, **nested})


def _write(job: Job, train: ImageSet, test: ImageSet) -> str:
    """Writes the folder that workers get, beside the checkpoints: the job, and its images as arrays of NumPy.

    An undamaged folder with the same job and images stays, because workers of a dead launcher may still be using it.
    """
    folder = os.path.join(job.state, "job")
    content = {
        "job": dataclasses.asdict(job),
        "images": [train.digest(), test.digest()],
        "shapes": [str(train.shape), str(test.shape)],  # no part of the digests
    }
    if _is_written(folder, content):
        return folder
    with whole("the workers' job", folder) as unfinished:
        given = os.path.join(unfinished, GIVEN)
        os.makedirs(given)
        for name, images in (("train", train), ("test", test)):
            _write_pixels(_path(unfinished, name, "pixels"), images)
            np.save(_path(unfinished, name, "noise_seeds"), images.noise_seeds)
        pathlib.Path(unfinished, JOB).write_text(json.dumps(content, indent=1))
        write_digests(given)
    return folder


def _is_written(folder: str, content: dict[str, Any]) -> bool:
    if not os.path.isdir(folder):
        return False
    if what := damage(os.path.join(folder, GIVEN)):
        log.warning("the workers' job is damaged (%s); writing it again", what)
        return False
    return json.loads(pathlib.Path(folder, JOB).read_text()) == content


def _verified_weights(folder: str, record: str) -> str:
    """Verifies the chief's weights and record, and returns the prefix of the weights.

    Damaged weights are removed, because their presence tells the next start that the training is finished.
    """
    weights = os.path.join(folder, WEIGHTS)
    try:
        with reading("the workers' result in", os.path.dirname(folder)):
            verify_digests(record)
            return verified_tensors(weights)
    except DamageError as error:
        discard(weights)
        remedy = "Start the training again: it resumes from the last checkpoint and writes the result again"
        raise ReportedError(f"the workers' result is damaged: {error}", value=folder, remedy=remedy) from error


def _take_record(record: str, workdir: str) -> None:
    """Copies the workers' record to `workdir`, and removes the scalars of earlier starts."""
    with storing("the record of the training", workdir):
        earlier = set(scalar_files(workdir)) - set(os.listdir(record))
    for name in os.listdir(record):
        with whole("the record of the training", os.path.join(workdir, name)) as unfinished:
            shutil.copyfile(os.path.join(record, name), unfinished)
    replace_scalars(workdir, sorted(earlier))


def _run(job: Job, train: ImageSet, test: ImageSet, strategy: tf.distribute.Strategy) -> LatentModel:
    paces = job.execution.checkpoint_minutes, job.execution.checkpoint_percent
    return train_and_evaluate(job.config, train, test, job.workdir, job.base_model, strategy, job.state, *paces).model


def _write_pixels(path: str, images: ImageSet) -> None:
    """Writes the pixels as np.save does, without holding all of them."""
    with open(path, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": images.pixels.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in images.chunks():
            file.write(np.ascontiguousarray(chunk).data)


def _read(folder: str, name: str) -> ImageSet:
    """Opens the images of a split. They stay on disk, whose cache the workers of a machine share."""
    path = _path(folder, name, "pixels")
    found = np.load(path, mmap_mode="r")
    pixels = DiskArray(open(path, "rb"), found.shape, found.offset, path)  # noqa: SIM115
    return ImageSet(pixels, np.load(_path(folder, name, "noise_seeds")))


def _path(folder: str, name: str, part: str) -> str:
    return os.path.join(folder, GIVEN, f"{name}-{part}.npy")
