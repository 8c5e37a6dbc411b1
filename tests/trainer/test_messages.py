"""The wording of every message and log line; everywhere else tests look at the fields of the failure."""

import contextlib
import dataclasses
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import trainer.__main__
import trainer.images
import trainer.training.loop
from trainer.errors import InterruptError, ReportedError, StorageError, UnreadableError
from trainer.evaluate import Detailed, GroupKL, MeanELBO, Quality
from trainer.failure import Failure, Kind
from trainer.images import ImageSet, hold_out, load_images, preprocessing, shape_of
from trainer.model.build import build
from trainer.model.likelihoods import Bernoulli, bits_per_dim
from trainer.settings import Execution, TrainConfig
from trainer.shape import Shape
from trainer.storage import aside, digests, lock, quarantine
from trainer.storage.atomic import discard
from trainer.storage.digests import digest_file, verify_digests, write_digests
from trainer.storage.folders import checked_folder
from trainer.storage.lock import alone, locked
from trainer.storage.rows import TemporaryArray
from trainer.storage.tensors import verified_tensors
from trainer.strategy import build_strategy, check_agreement, check_workers_share
from trainer.training.checkpoint import Checkpoints
from trainer.training.loop import train_and_evaluate
from trainer.training.record import Progress
from trainer.training.step import StepsResult, TrainStep
from trainer.training.warm_start import load_weights
from trainer.units import read_units
from trainer.workers import job, launch, worker
from trainer.workers.job import Job, run_job, run_worker
from trainer.workers.ports import reserved_ports

CONFIG = TrainConfig(
    hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=1, eval_samples=1, importance_samples=0
)
SHAPE = Shape(32, 32, 3)
PREPROCESS = preprocessing(SHAPE)
SETS = tuple(ImageSet(np.zeros([count, 32, 32, 3], np.uint8), np.arange(count)) for count in (40, 4))
TWO = '{"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}}'
NO_SPACE = OSError(28, "No space left on device")

MESSAGES = {}  # name -> what raises it, given the fixture `at`, and its words


def says(words):
    """Declares the words of the error that a function raises; `{at}` is the folder of the test."""

    def declare(function):
        MESSAGES[function.__name__] = function, words
        return function

    return declare


def raises(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.fixture
def at(tmp_path, monkeypatch, example, write_records, png):
    """A folder, and what changes the world of a test."""
    monkeypatch.delenv("TF_CONFIG", raising=False)

    def records(name, *images):
        write_records(tmp_path / name, [example(png(pixels), f"id {i}") for i, pixels in enumerate(images)])
        return [str(tmp_path / name)]

    return SimpleNamespace(path=tmp_path, patch=monkeypatch.setattr, setenv=monkeypatch.setenv, records=records)


# Errors


@says(
    "the model cannot be written to /there: No space left on device. Free some space or choose another folder,"
    " and start again; nothing half-written was left"
)
def a_write(at):
    raise StorageError("the model", "/there", NO_SPACE)


@says(
    "the checkpoint /there cannot be read: No space left on device. Make it readable and start again; nothing "
    "was changed"
)
def a_read(at):
    raise UnreadableError("the checkpoint", "/there", NO_SPACE)


@says("interrupted by SIGTERM")
def a_signal(at):
    raise InterruptError(15)


# Images


@says(
    "no file matches the pattern: expected gzipped TFRecord files of Examples with images of 32x32x3, "
    "got '{at}/none-*'. Check the path"
)
def no_file(at):
    load_images([f"{at.path}/none-*"], PREPROCESS, SHAPE)


@says("the files contain no Example: expected at least one image, got '{at}/empty'")
def no_example(at):
    load_images(at.records("empty"), PREPROCESS, SHAPE)


@says(
    "the images cannot be read: truncated record at 0: expected gzipped TFRecord files of Examples with images"
    " of 32x32x3, got '{at}/text'"
)
def no_records(at):
    (at.path / "text").write_bytes(b"")
    at.patch(tf.data.Dataset, "take", raises(tf.errors.DataLossError(None, None, "truncated record at 0\nmore")))
    load_images([f"{at.path}/text"], PREPROCESS, SHAPE)


@says(
    "the preprocessing is not invertible in image 'id 0', row 0, column 0, channel 0: the byte 100 becomes "
    "0.196078449, which to_bytes converts to 50: expected 0.392156899, got 0.196078449. Change `preprocess` in"
    " trainer/images.py so that to_bytes undoes it, or change to_bytes and to_unit_interval with it"
)
def halved_pixels(at):
    halved = lambda raw: {**PREPROCESS(raw), "image": PREPROCESS(raw)["image"] / 2.0}  # noqa: E731
    load_images(at.records("a", np.full(3072, 100, np.uint8)), halved, SHAPE)


@says(
    "the preprocessing of 1 images has the wrong shape: expected [1, 3072], one number for each byte, got [1, "
    "1024]. Change `preprocess` in trainer/images.py so that to_bytes undoes it, or change to_bytes and "
    "to_unit_interval with it"
)
def fewer_pixels(at):
    fewer = lambda raw: {**PREPROCESS(raw), "image": PREPROCESS(raw)["image"][:, ::3]}  # noqa: E731
    load_images(at.records("a", np.zeros(3072, np.uint8)), fewer, SHAPE)


@says(
    "the shape of the first image in {at}/a: expected height x width x channels, with 1 channel for grey, 3 for RGB or "
    "4 for RGBA, got '2x2x2'"
)
def two_channels(at):
    serialized = tf.io.encode_png(np.zeros([2, 2, 2], np.uint8)).numpy()
    at.patch(tf.io, "parse_example", lambda *_: {"image": [tf.constant(serialized)]})
    shape_of(at.records("a", np.zeros(SHAPE, np.uint8)))


@says("the training split has too few images: expected at least 2: one to train on, one to hold out, got 1")
def one_image(at):
    hold_out(1, 0.5, 0)


@says(
    "Bernoulli has no bits/dim: expected a probability of 8-bit pixels, as of DiscretizedLogistic, got 'nats "
    "per image, cross entropy of grey values'"
)
def no_bits(at):
    bits_per_dim(Bernoulli, -1.0, 1)


@says(
    "the model states no units of its ELBO in assets.extra/units.json: expected a model that this version "
    "wrote, got '{at}'. Start a new series with another --root"
)
def no_units(at):
    read_units(str(at.path))


@says(
    "the temporary file of 2,000,000 decoded images cannot be written to {at}: it needs 6.1 GB, and 1.0 GB are free. "
    "Free some space, set TMPDIR to a folder on a larger local disk, or allow more images_in_memory"
)
def no_room_for_images(at):
    at.patch(tempfile, "gettempdir", lambda: str(at.path))
    at.patch(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    trainer.images._room(2_000_000, SHAPE, 2048)


@says(
    "the images in a temporary file in {at} cannot be read: it has become shorter. Make it readable and start again; "
    "nothing was changed"
)
def lost_images(at):
    at.patch(tempfile, "gettempdir", lambda: str(at.path))
    TemporaryArray((2, *SHAPE), "", "")[slice(0, 2)]


# Strategies


@says(
    "this worker has 7 steps in its newest checkpoint, another worker has a different number. Put /there on a "
    "disk that all workers share"
)
def other_steps(at):
    at.patch(trainer.strategy, "_gathered", lambda *_: [7, 8])
    check_agreement(None, 7, "steps in its newest checkpoint", "/there")


@says(
    "the 2 workers of TF_CONFIG would train separately and overwrite each other's files: expected strategy "
    "multi_worker, got 'MirroredStrategy'"
)
def workers_apart(at):
    at.setenv("TF_CONFIG", TWO)
    check_workers_share(tf.distribute.MirroredStrategy(["CPU:0"]))


@says("TF_CONFIG is malformed: expected JSON with a cluster and a task, got '[]'")
def no_cluster(at):
    at.setenv("TF_CONFIG", "[]")
    build_strategy("multi_worker")


@says("strategy multi_worker has no workers: expected their addresses in the environment variable TF_CONFIG, got None")
def no_workers(at):
    build_strategy("multi_worker")


@says(
    "strategy multi_worker cannot be set up: no such task: expected a cluster, and a task in it, in the environment "
    "variable TF_CONFIG, got '" + TWO.replace("{", "{{").replace("}", "}}") + "'"
)
def no_task(at):
    at.setenv("TF_CONFIG", TWO)
    at.patch(tf.distribute, "MultiWorkerMirroredStrategy", raises(ValueError("no such task")))
    build_strategy("multi_worker")


@says(
    f"strategy tpu: TensorFlow {tf.__version__} has no TPU kernels. Install tensorflow-tpu in its place on a machine "
    "with a TPU, or choose another strategy"
)
def no_kernels(at):
    at.patch(tf.distribute.cluster_resolver, "TPUClusterResolver", raises(tf.errors.NotFoundError(None, None, "")))
    build_strategy("tpu")


@says("strategy tpu: no TPU answers at 'mine': no such zone. Check that the TPU is running, or choose another strategy")
def no_tpu(at):
    at.patch(tf.distribute.cluster_resolver, "TPUClusterResolver", raises(ValueError("no such zone")))
    build_strategy("tpu:mine")


# Storage


@says("root: expected the name of a folder, got ' '")
def no_name(at):
    checked_folder("root", " ")


@says("root: expected a folder whose name is valid UTF-8, got 'a\\udcff'")
def no_text(at):
    checked_folder("root", "a\udcff")


@says("root: expected a folder without control characters in its name, got 'a\\nb'")
def two_lines(at):
    checked_folder("root", "a\nb")


@says("root: expected a folder without * ? [ \\ in its name, which make it a pattern, got 'a*'")
def a_pattern(at):
    checked_folder("root", "a*")


@says("{at} is in use by another run. Wait until it ends, or choose another --root")
def busy(at):
    with alone(str(at.path), "run", "--root"), alone(str(at.path), "run", "--root"):
        pass


@says(
    "{at} is damaged (torn) and cannot be renamed: No space left on device. Make its parent folder writable, "
    "and start again"
)
def not_moved(at):
    at.patch(aside, "write_durably", raises(NO_SPACE))
    quarantine.quarantine_folder(str(at.path), "torn")


@says("{at}/none is missing or not a folder")
def no_folder(at):
    verified_tensors(f"{at.path}/none")


def damaged(at, change):
    """Changes a folder of the file `file`, of 3 bytes, and looks at it."""
    folder = at.path / "folder"
    folder.mkdir()
    (folder / "file").write_text("abc")
    write_digests(str(folder))
    change(folder)
    verify_digests(str(folder))


@says("{at}/folder is missing")
def a_folder_gone(at):
    damaged(at, lambda folder: folder.rename(at.path / "elsewhere"))


@says("{at}/folder/file is missing")
def a_file_gone(at):
    damaged(at, lambda folder: (folder / "file").unlink())


@says("{at}/folder/more was added later")
def a_file_more(at):
    damaged(at, lambda folder: (folder / "more").touch())


@says("{at}/folder/file has 4 bytes instead of 3")
def a_longer_file(at):
    damaged(at, lambda folder: (folder / "file").write_text("abcd"))


@says("{at}/folder/file has changed since it was written")
def another_file(at):
    damaged(at, lambda folder: (folder / "file").write_text("abd"))


@says("{at}/folder.digests.json is missing")
def no_digests(at):
    damaged(at, lambda folder: os.remove(digest_file(str(folder))))


@says("{at}/folder.digests.json is a folder")
def a_folder_of_digests(at):
    damaged(at, lambda folder: (os.remove(digest_file(str(folder))), os.mkdir(digest_file(str(folder)))))


@says("{at}/folder.digests.json is damaged")
def torn_digests(at):
    damaged(at, lambda folder: os.truncate(digest_file(str(folder)), 3))


# Training


@says("batch_size: expected at most 39, the number of training images, got 40")
def too_few_images(at):
    train_and_evaluate(TrainConfig(batch_size=40), *SETS, str(at.path))


@says(
    "free_bits: expected 0 with 2 replicas, because the KL is averaged over the whole batch, got 0.1. Use "
    "--workers 1 --strategy default, which has one replica"
)
def free_bits_of_two(at):
    TrainStep(SimpleNamespace(num_replicas_in_sync=2), TrainConfig(free_bits=0.1), None, None, 1)


def diverge(at, elbo, held_out=-1.0):
    """Trains with steps and evaluations of those ELBOs."""
    at.patch(TrainStep, "__call__", lambda self, pixels, rows, *_: StepsResult(np.full(len(rows), elbo), False))
    at.patch(trainer.training.loop, "Evaluator", lambda *_, **__: lambda _: SimpleNamespace(elbo=held_out))
    train_and_evaluate(CONFIG, *SETS, str(at.path))


DIVERGED = (
    "Lower learning_rate (0.001) or set clip_norm (0), and start again; `python -m trainer` then needs another "
    "--output, or {at}/checkpoints removed. No model was written; the last good checkpoint is none"
)


@says("training diverged at step 1 (epoch 1): expected an ELBO above -307200 nats per image, got nan. " + DIVERGED)
def a_step_diverges(at):
    diverge(at, np.nan)


@says(
    "training diverged at step 4 (epoch 1): expected a held-out ELBO above -307200 nats per image, got -inf. "
    + DIVERGED
)
def an_epoch_diverges(at):
    diverge(at, -1.0, held_out=-np.inf)


@says(
    "training diverged at step 4 (epoch 1): expected finite weights and Adam moments, got 'a number that is not "
    "finite'. " + DIVERGED
)
def weights_diverge(at):
    def spoil(run, _):
        run._progress = Progress(4)
        run.model.variables[0].assign(tf.fill(run.model.variables[0].shape, np.inf))
        return False  # it was told to stop

    at.patch(trainer.training.loop._Run, "_train_epoch", spoil)
    train_and_evaluate(CONFIG, *SETS, str(at.path))


def resume(at, run=None, **state):
    """Saves a checkpoint of a variable, and restores it as that run and state."""
    Checkpoints(f"{at.path}/c", {"seed": 1}, True, state=variables(a=1)).save(2, {})
    Checkpoints(f"{at.path}/c", run or {"seed": 1}, True, state=state or variables(a=1)).restore()


def variables(**values):
    module = tf.Module()
    for name, value in values.items():
        setattr(module, name, tf.Variable(value))
    return module


@says(
    "the checkpoint {at}/c/step-000000002 belongs to another run: expected {{'seed': 2}}, got {{'seed': 1}}. "
    "Resume with the checkpoint's settings and data, or remove {at}/c to start from scratch"
)
def another_run(at):
    resume(at, {"seed": 2})


@says(
    "the checkpoint {at}/c/step-000000002 does not match the variables of this version: Unresolved object. "
    "Resume with the version that wrote it, or remove {at}/c to start from scratch"
)
def other_code(at):
    at.patch(tf.train.Checkpoint, "read", raises(AssertionError("Unresolved object\nmore")))
    resume(at)


@says(
    "1 of 12 weights of the base model {at} do not fit the settings: expected the shapes {{'decoder/heads/1/b':"
    " [3072]}}, got {{'decoder/heads/1/b': None}}. Train without --warm-start, or with the settings of the "
    "base model"
)
def another_base(at):
    found = {name: v.numpy() for name, v in trainer.training.warm_start._variables(build(GAUSSIAN, SHAPE))}
    del found["decoder/heads/1/b"]
    at.patch(trainer.training.warm_start, "_read", lambda _: found)
    load_weights(build(GAUSSIAN, SHAPE), str(at.path))


GAUSSIAN = TrainConfig(decoder="GaussianMLP", hidden_size=2, latent_size=2, iaf_steps=0)


@says("the base model cannot be read: Not found: expected a SavedModel, got '{at}'. Train with --no-warm-start")
def no_base(at):
    at.patch(tf.train, "load_checkpoint", raises(tf.errors.NotFoundError(None, None, "Not found")))
    load_weights(build(GAUSSIAN, SHAPE), str(at.path))


# Workers


@says("no ports for 2 workers: No space left on device. Close other programs, and start again")
def no_ports(at):
    at.patch(trainer.workers.ports.socket, "socket", raises(NO_SPACE))
    with reserved_ports(2):
        pass


@says(
    "worker 0 of 1, true, cannot be started: No space left on device. Free some memory and processes, and start again"
)
def no_process(at):
    at.patch(subprocess, "Popen", raises(NO_SPACE))
    launch.launch(["true"], str(at.path), 1)


@says("worker 0 of 1 ended with exit code 3; its log {at}/worker-0.log ends with:\nlast words")
def a_worker_ends(at):
    launch.launch([sys.executable, "-c", "import sys; print('last words'); sys.exit(3)"], str(at.path), 1)


@says("worker 0 of 2: the disk is full: expected space, got 0. Free some")
def a_worker_knows_why(at):
    failure = Failure(Kind.INFRASTRUCTURE, "the disk is full", 0, "space", "Free some")
    raise launch.why_failed("worker 0 of 2", 1, failure, "ended", [])


@says("{at}/given is missing. Put it on a disk that all workers share")
def no_job(at):
    run_worker(str(at.path))


@says(
    "the workers' job is damaged: {at}/given/job.json is damaged. Start the training again: it writes the job "
    "again and resumes from the last checkpoint"
)
def a_damaged_job(at):
    (at.path / "given").mkdir()
    at.patch(job, "damage", lambda _: f"{at.path}/given/job.json is damaged")
    run_worker(str(at.path))


@says(
    "the workers' result is damaged: {at}/record is damaged. Start the training again: it resumes from the "
    "last checkpoint and writes the result again"
)
def a_damaged_result(at):
    at.patch(job, "verify_digests", raises(digests.DamageError(f"{at.path}/record", "is damaged")))
    two = Job(CONFIG, str(at.path), str(at.path), execution=Execution(workers=2))
    run_job(two, *SETS, lambda *_: None)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_words_of_an_error(name, at):
    function, words = MESSAGES[name]
    with pytest.raises(ReportedError) as error:
        function(at)
    assert str(error.value) == words.format(at=at.path)


@pytest.fixture
def log_of(at, caplog):
    """Calls a function and returns what it logs."""

    def call(function):
        caplog.set_level("INFO", "trainer")
        caplog.clear()
        with contextlib.suppress(ReportedError):
            function()
        return [record.getMessage() for record in caplog.records]

    return call


def test_the_words_of_a_training(at, log_of):
    """Of two epochs of a step, each a minute by the clock; it is stopped after the first one."""
    clock, stops = itertools.count(0.0, 60.0), iter([False, True, False])
    step = lambda self, pixels, rows, *_: StepsResult(np.full(len(rows), -2.0), next(stops))  # noqa: E731
    at.patch(TrainStep, "__call__", step)
    at.patch(trainer.training.loop, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    at.patch(trainer.training.loop, "Evaluator", lambda *_, **__: lambda _: MeanELBO(-3.0, -1.0, 2.0))
    group = GroupKL("z", (1.75, 0.25), 0.5, 2, (1, 2))
    at.patch(trainer.training.loop, "evaluate_latents", lambda *_: Detailed(MeanELBO(-3.0, -1.0, 2.0), None, (group,)))
    at.patch(trainer.training.loop, "quality", lambda *_: Quality(5, 1000, 0.5, 0.125, -2.5, 0.25))
    config = dataclasses.replace(CONFIG, batch_size=39, epochs=2, importance_samples=5)
    train = lambda: train_and_evaluate(config, *SETS, str(at.path))  # noqa: E731
    introduction = "training on 39 images, 1 held out, 4 test; batch 39, 1 steps an epoch, 52,292 parameters"
    epoch = "epoch {}/2  test ELBO -3.00 = reconstruction -1.00 - KL 2.00  held-out -3.00  1 images/s  60.0 s"
    stop = "stopped after step 2; the next start resumes there"
    assert log_of(train) == [introduction, "epoch 1/2  step 1 of 1", epoch.format(1), stop]
    assert log_of(train) == [
        introduction,
        f"resuming after step 2 of 2 from {at.path}/checkpoints/step-000000002",
        epoch.format(2),
        "epoch 1 has the best held-out ELBO; its test-set ELBO with 1 samples per image: -3.00 nats per image",
        "latents z: KL 2.00 ± 0.50 nats per image, 2 of 2 active (1 to 2, 95 % intervals)",
        "drawing 5 samples of 4 test images for the importance-weighted bound",
        "importance-weighted bound: -2.50 ± 0.25 nats per image, a gain over the ELBO of 0.50 ± 0.12 (95 % intervals)",
    ]


def test_the_words_of_a_warm_start(at, log_of):
    found = {name: v.numpy() for name, v in trainer.training.warm_start._variables(build(GAUSSIAN, SHAPE))}
    at.patch(trainer.training.warm_start, "_read", lambda _: found)
    lines = log_of(lambda: load_weights(build(GAUSSIAN, SHAPE), "/there"))
    assert lines == ["starting from the weights of /there"]


def test_the_words_of_a_damaged_checkpoint(at, log_of):
    Checkpoints(str(at.path), {}, True, state=variables(a=1)).save(2, {})
    os.remove(at.path / "step-000000002/data.digests.json")
    (line,) = log_of(Checkpoints(str(at.path), {}, True, state=variables(a=1)).restore)
    path = f"{at.path}/step-000000002"
    assert line == (
        f"{path} is damaged ({path}/data.digests.json is missing) and was moved to "
        f"{at.path}/unreadable-step-000000002; using the previous checkpoint"
    )


def test_the_words_of_a_damaged_job(at, log_of):
    launches = lambda: run_job(  # noqa: E731
        Job(CONFIG, str(at.path), str(at.path), execution=Execution(workers=2)), *SETS, raises(ReportedError("stop"))
    )
    log_of(launches)
    os.remove(at.path / "job/given.digests.json")
    expected = f"the workers' job is damaged ({at.path}/job/given.digests.json is missing); writing it again"
    assert log_of(launches) == [expected]


def test_the_words_of_locks(at, log_of):
    at.patch(lock.fcntl, "flock", raises(OSError(37, "No locks available")))

    def use():
        with alone(str(at.path), "run", "--root"):
            pass

    expected = f"{at.path} cannot be locked (No locks available); make sure that no other run uses it"
    assert log_of(use) == [expected]

    tries = iter([BlockingIOError(), BlockingIOError(), None])
    clock = itertools.count(0.0, 10.0)
    at.patch(lock, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None))
    at.patch(lock.fcntl, "flock", lambda *_: raises(error)() if (error := next(tries)) else None)

    def wait():
        with locked(str(at.path / "lock"), "push"):
            pass

    assert log_of(wait) == [f"waiting for another push, which holds {at.path}/lock"]


def test_the_words_of_what_cannot_be_removed(at, log_of):
    at.patch(tf.io.gfile, "rmtree", raises(OSError(1, "Operation not permitted")))
    expected = f"{at.path} is no longer needed and cannot be removed: Operation not permitted. Remove it by hand"
    assert log_of(lambda: discard(str(at.path))) == [expected]


def test_the_words_of_a_tpu_that_does_not_answer(at, log_of):
    at.setenv("TPU_NAME", "mine")
    at.patch(tf.distribute.cluster_resolver, "TPUClusterResolver", raises(ValueError("no such zone")))
    expected = "strategy tpu: no TPU answers at 'mine': no such zone; training without it"
    assert log_of(lambda: build_strategy("auto")) == [expected]


def test_the_words_of_workers_that_are_stopped(at, log_of):
    """By a signal that comes as soon as they have started."""
    at.patch(launch, "_first_failure", lambda *_: signal.raise_signal(signal.SIGTERM))
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert log_of(lambda: launch.launch(command, str(at.path), 1)) == [
        "stopping; the workers have 30 s to save a checkpoint"
    ]


# The command lines


@pytest.mark.parametrize(
    ("epochs", "words"),
    [
        ("0", "epochs: expected greater than or equal to 1, got 0"),
        ("1", "the folder {at}/out cannot be written: Not a directory. Choose another --output"),
    ],
)
def test_the_words_of_the_program(epochs, words, at, capsys):
    for name in ("train", "test"):
        at.records(name, *np.zeros([200, *SHAPE], np.uint8))
    (at.path / "out").write_text("")
    options = {"train": "train", "test": "test", "output": "out/put"}
    arguments = [word for name, path in options.items() for word in (f"--{name}", str(at.path / path))]
    assert trainer.__main__.main([*arguments, "--epochs", epochs]) == 2
    expected = words.replace("{at}/out", "{at}/out/put").replace("{at}", str(at.path))
    assert capsys.readouterr().err == f"trainer: {expected}\n"


def test_the_words_of_a_worker(capsys):
    assert worker.main([]) == 2
    expected = "trainer: wrong number of arguments: expected 1, the folder of the job, got 0\n"
    assert capsys.readouterr().err == expected
