"""The same training under different strategies, measured.

`mirrored`, `launch_workers` and `worker` run in processes of their own: logical devices and workers have to be set up
before TensorFlow computes.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from unittest import mock

import numpy as np
import tensorflow as tf

import trainer.evaluate
import trainer.training.step
import trainer.workers.job
import trainer.workers.worker
from forked import ForkedProcess
from trainer.errors import UserError
from trainer.evaluate import Evaluator
from trainer.images import ImageSet, shuffled_batches
from trainer.model.build import build
from trainer.model.latent_model import LatentModel
from trainer.settings import Execution, TrainConfig
from trainer.shape import Shape
from trainer.storage.rows import TemporaryArray
from trainer.strategy import check_agreement, read_ahead, shard
from trainer.training.optimizer import build_optimizer
from trainer.training.step import TrainStep
from trainer.workers.job import Job, run_job
from trainer.workers.launch import launch

STEPS, STEPS_PER_EPOCH = 8, 4
SIZES = {
    "hidden_size": 16,
    "latent_size": 8,
    "iaf_steps": 1,
    "iaf_hidden_size": 8,
    "channels": 4,
    "batch_size": 8,
    "epochs": 2,
    "importance_samples": 0,
}
CASES = {  # each part of a step costs XLA a second in every process, so none is in both
    "relaxed ELBO of MLPs": TrainConfig(
        **SIZES | {"importance_samples": 3},
        horizontal_flips=True,
        ema_decay=0.5,
        learning_rate=0.01,
        clip_norm=100.0,
        kl_warmup_epochs=1.0,
        warmup_epochs=0.5,
        seed=3,
    ),
    "IWAE of ResNets": TrainConfig(
        **SIZES | {"iaf_steps": 0},
        encoder="GaussianResNet",
        decoder="DiscretizedLogisticResNet",
        objective="iwae",
        train_samples=2,
        schedule="constant",
    ),
    "ELBO of a ladder": TrainConfig(
        **SIZES,
        encoder="GaussianLadder",
        decoder="DiscretizedLogisticLadder",
        ladder_layers=1,
        latent_channels=2,
    ),
}


JOB = CASES["relaxed ELBO of MLPs"]


def some_images(count: int, seed: int) -> ImageSet:
    """Images that get brighter to one side, with noise of each pixel."""
    rng = np.random.default_rng(seed)
    slope = rng.integers(0, 7, [count, 1, 1, 1]) * np.arange(32)[:, None]
    pixels = slope + rng.integers(0, 38, [count, 32, 32, 3])
    return ImageSet(pixels.astype(np.uint8), np.arange(count))


def on_disk(images: ImageSet) -> ImageSet:
    """The same images in a temporary file."""
    pixels = TemporaryArray(images.pixels.shape, "the images", "")
    pixels[np.arange(len(images))] = images.pixels[:]
    return ImageSet(pixels, images.noise_seeds)


SETS = TRAIN, TEST = some_images(64, seed=1), some_images(37, seed=2)


def start(strategy: tf.distribute.Strategy, config: TrainConfig) -> tuple[LatentModel, TrainStep]:
    with strategy.scope():
        model = build(config, Shape(32, 32, 3))
        optimizer = build_optimizer(config, model.trainable_variables, STEPS_PER_EPOCH)
    # Two shares rounded to bfloat16 differ from the whole by more than the limits.
    with mock.patch.object(trainer.training.step, "multiplies_bfloat16", return_value=False):
        return model, TrainStep(strategy, config, model, optimizer, STEPS_PER_EPOCH)


def measure(strategy: tf.distribute.Strategy, at_once: int, stop: bool = False) -> dict[str, np.ndarray]:
    """An evaluation of each case, and the results of a few steps, `at_once` in a call."""
    found = {}
    for name, config in CASES.items():
        model, step = start(strategy, config)
        with mock.patch.object(trainer.evaluate, "DRAWS_AT_ONCE", 20):  # ten images, so that the last batch is padded
            found[f"{name}: evaluation"] = np.array(Evaluator(model, 2, strategy)(TEST))
        rows = shuffled_batches(np.arange(len(TRAIN)), config.batch_size, seed=0, epoch=1)
        results = [step(TRAIN.pixels, rows[i : i + at_once], i, stop) for i in range(0, STEPS, at_once)]
        found[f"{name}: ELBO"] = np.concatenate([result.elbo for result in results])
        found[f"{name}: weights"] = flat(model)
    found["stopped"] = np.array([result.stop for result in results])
    shares = shard(strategy, 10 * np.arange(8), np.arange(8).reshape(2, 4))
    found["shares"] = np.stack(strategy.experimental_local_results(shares))
    announced: list[int] = []
    read_ahead(
        strategy, SimpleNamespace(will_need=lambda rows: announced.extend(rows.ravel())), np.arange(8).reshape(2, 4)
    )
    found["announced"] = np.array(announced)
    return found


def flat(model: tf.Module) -> np.ndarray:
    return np.concatenate([variable.numpy().ravel() for variable in model.variables])


def complaint(call: Callable[[], object]) -> str:
    """The failure that the user is told, as JSON; empty if there is none."""
    try:
        call()
    except UserError as error:
        return error.failure.to_json()
    return ""


def mirrored(path: str) -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found = measure(strategy, at_once=STEPS // 2)
    complaints = [
        complaint(lambda: start(strategy, dataclasses.replace(JOB, free_bits=0.1))),
        complaint(lambda: start(strategy, dataclasses.replace(JOB, batch_size=7))),
        of_one_and_three(strategy),
    ]
    np.savez(path, **found, complaints=complaints)


def of_one_and_three(strategy: tf.distribute.Strategy) -> str:
    """The complaint of a worker with 2 steps, the mean of two others' 1 and 3; two replicas stand in for those."""
    values = strategy.experimental_distribute_values_from_function
    others = lambda value: values(lambda _: value(_) - 1 + 2 * _.replica_id_in_sync_group)  # noqa: E731
    with mock.patch.object(strategy, "experimental_distribute_values_from_function", others):
        return complaint(lambda: check_agreement(strategy, 2, "steps", "shared"))


def launch_workers(folder: str) -> None:
    """Does the job on two workers that measure, in `folder`, and leaves the weights there."""
    subprocess.Popen = ForkedProcess
    job = Job(JOB, os.path.join(folder, "work"), os.path.join(folder, "state"), execution=Execution(workers=2))
    command = [sys.executable, "-c", "import replicas, sys; replicas.worker(sys.argv[1])"]
    model = run_job(job, *map(on_disk, SETS), lambda folder, workers: launch([*command, folder], folder, workers))
    np.save(os.path.join(folder, "trained.npy"), flat(model))


def worker(folder: str) -> None:
    """Measures, does the job, and writes the results to the folder; only the chief uses the job's own names."""
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    suffix = f"-{index}" if index else ""
    train = trainer.workers.job.train_and_evaluate

    def measured(config, images, test, workdir, base_model, strategy, *rest):
        found = measure(strategy, at_once=STEPS, stop=index == 1)
        complaints = [complaint(lambda: check_agreement(strategy, n, "steps", "shared")) for n in (7, 7 + index)]  # noqa: B023
        result = train(config, images, test, workdir + suffix, base_model, strategy, *rest)
        path = os.path.join(folder, f"found-{index}.npz")
        np.savez(path, **found, complaints=complaints, trained=flat(result.model))
        return result

    trainer.workers.job.train_and_evaluate = measured
    trainer.workers.job.WEIGHTS += suffix
    sys.exit(trainer.workers.worker.main([folder]))
