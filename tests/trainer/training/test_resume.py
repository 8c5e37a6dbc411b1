"""A run that was killed or stopped, wherever, and started again ends to the bit as one that nobody disturbed."""

import fcntl
import json
import math
import os
import pathlib
import random
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import trainer.training.loop
from trainer.errors import InterruptError, UserError
from trainer.evaluate import Evaluator
from trainer.settings import TrainConfig
from trainer.training.checkpoint import Checkpoints
from trainer.training.loop import train_and_evaluate
from trainer.training.record import Progress
from trainer.training.step import TrainStep
from trainer.workers.job import Job, run_job
from trainer.workers.launch import WorkerError, launch, launch_local

CONFIG = TrainConfig(
    hidden_size=8,
    latent_size=2,
    iaf_steps=0,
    batch_size=8,
    epochs=3,
    learning_rate=0.5,  # so high that the best epoch is not the last one, whose weights are in the model anyway
    seed=1,  # with which it is better by hundreds of nats: roundings differ from one processor to the next
    schedule="constant",
    eval_samples=2,
    clip_norm=10.0,
    ema_decay=0.5,
    horizontal_flips=True,
)
IMAGES = 302  # to train on, and hold out: 37 steps an epoch, as calls of 16, 16 and 5
CALLS = [0, 16, 32, 37, 53, 69, 74, 90, 106, 111]  # first steps of the calls, and the end

# What a process begins with that a signal comes to: to worker `who`, with the call of step `latest`, or already some
# seconds after that of step `earliest`. Every process holds a lock while it lives.
DISTURBED = """
import fcntl, json, math, os, signal, sys, threading
import trainer.training.loop

index = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"]
lock = open(os.path.join(os.environ["LOCKS"], str(os.getpid())), "w")
fcntl.flock(lock, fcntl.LOCK_EX)
who, number, earliest, seconds, latest = json.loads(os.environ["DISTURB"])

class Disturbed(trainer.training.loop.TrainStep):
    expects = who == index
    waits = False

    def __call__(self, pixels, rows, first, stop=False):
        if self.expects and first >= latest:
            self.expects = False
            signal.raise_signal(number)
        if self.expects and first >= earliest and not self.waits:
            self.waits = True
            threading.Timer(seconds, os.kill, [os.getpid(), number]).start()
        return super().__call__(pixels, rows, first, stop)

trainer.training.loop.TrainStep = Disturbed
"""

NOBODY = [-1, 0, 0, 0, 0]


def killed(earliest, latest):
    """SIGKILL at a random moment between two steps, be it in one, in an evaluation or while a checkpoint is written."""
    return signal.SIGKILL, earliest, random.uniform(0.01, 0.4), latest


def stopped(step):
    """SIGTERM at a step."""
    return signal.SIGTERM, math.inf, 0.0, step


TRAIN = """
import functools, runpy
import trainer.workers.job
trainer.workers.job.Job = functools.partial(trainer.workers.job.Job, checkpoint_minutes=0.0)
runpy.run_module("trainer", run_name="__main__")
"""

WORK = """
from trainer.workers.worker import main
code = main(sys.argv[1:])
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
"""


@pytest.fixture(scope="module")
def data(make_images):
    return make_images(IMAGES, seed=1), make_images(30, seed=2)


@pytest.fixture
def locks(tmp_path):
    """Where disturbed processes hold locks; none may outlive the test."""
    folder = tmp_path / "locks"
    folder.mkdir()
    yield folder
    for path in folder.iterdir():
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def history(folder):
    """What there is of it but the time that it took."""
    content = json.loads((folder / "history.json").read_text())
    for epoch in content["epochs"]:
        del epoch["seconds"], epoch["images_per_second"]
    return content


def assert_shown_once(folder):
    """TensorBoard shows every epoch, and none of them twice."""
    events = EventAccumulator(str(folder)).Reload().Tensors("test/elbo")
    assert [event.step for event in events] == [1, 2, 3]


def steps(folder):
    """Numbers of the checkpoints."""
    return sorted(int(path.name[5:]) for path in folder.glob("step-*"))


def weights(model):
    return {str(i): variable.numpy() for i, variable in enumerate(model.variables)}


class Killed(BaseException):
    pass


class Deaths:
    """Ends a run at its `place`-th call of any of these methods, before it or after."""

    METHODS = ((TrainStep, "__call__"), (Evaluator, "__call__"), (Checkpoints, "save"))

    def __init__(self, monkeypatch):
        self.calls, self.place = 0, None
        for cls, name in self.METHODS:
            monkeypatch.setattr(cls, name, self._mortal(getattr(cls, name)))

    def _mortal(self, method):
        def call(*arguments):
            self.live()
            result = method(*arguments)
            self.live()
            return result

        return call

    def live(self):
        self.calls += 1
        if self.calls == self.place:
            raise Killed


@pytest.mark.slow
def test_a_run_that_dies_anywhere_ends_as_one_that_does_not(data, tmp_path, monkeypatch):

    def start(folder):
        return train_and_evaluate(CONFIG, *data, str(tmp_path / folder), checkpoint_minutes=0.0)

    deaths = Deaths(monkeypatch)
    monkeypatch.setattr(Progress, "best", property(lambda progress: progress.epochs[:2][-1]))  # never the last epoch
    undisturbed = start("undisturbed")
    assert undisturbed.best_epoch < CONFIG.epochs
    died = []
    for place in (4, 10, 25):  # after a checkpoint, in an evaluation, and when the best epoch is over
        deaths.calls, deaths.place = 0, place
        with pytest.raises(Killed):
            start("disturbed")
        died.append(steps(tmp_path / "disturbed" / "checkpoints")[-1])
    assert died == [16, 37, 90]
    deaths.place = None
    result = start("disturbed")
    assert_same(weights(result.model), weights(undisturbed.model))
    assert history(tmp_path / "disturbed") == history(tmp_path / "undisturbed")
    assert_shown_once(tmp_path / "disturbed")


@pytest.fixture
def command(tmp_path, data, png, example, write_records):
    """`python -m trainer` on files, with a checkpoint after every call."""
    for split, images in zip(("train", "test"), data, strict=True):
        records = [example(png(image), f"{split}_{i}") for i, image in enumerate(images.pixels)]
        write_records(tmp_path / f"{split}.gz", records)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    options = {"train": "train.gz", "test": "test.gz", "config": "config.json"}
    paths = [word for name, file in options.items() for word in (f"--{name}", str(tmp_path / file))]
    return lambda output: [sys.executable, "-c", DISTURBED + TRAIN, *paths, "--output", str(tmp_path / output)]


@pytest.fixture
def begin(command, locks):
    """Starts it in a process of its own."""

    def start(output, *coming):
        return subprocess.Popen(
            command(output),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=pathlib.Path(trainer.__file__).parents[1],
            env=os.environ | {"LOCKS": str(locks), "DISTURB": json.dumps([0, *coming] if coming else NOBODY)},
        )

    return start


def saved(model):
    """Every array of a SavedModel by its name."""
    reader = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    names = set(reader.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    return {name: reader.get_tensor(name) for name in names}


@pytest.mark.slow
def test_a_killed_and_stopped_process_ends_as_one_that_is_left_alone(begin, tmp_path):
    undisturbed = begin("undisturbed")
    output = tmp_path / "disturbed"
    checkpoints = output / "checkpoints"
    process = begin("disturbed", *killed(1, 53))
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    found = steps(checkpoints)
    process = begin("disturbed", *stopped(found[-1]))
    said, complaint = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert complaint.splitlines()[-1] == "trainer: interrupted by SIGTERM"
    end = CALLS[CALLS.index(found[-1]) + 2]  # the signal came in the first call, all hear of it in the next
    assert f"going on after step {found[-1]} of 111, from {checkpoints}/step-{found[-1]:09d}\n" in said
    assert said.splitlines()[-1] == f"stopped after step {end}; started again, it goes on from there"
    assert steps(checkpoints)[-1] == end
    assert not (output / "model").exists()
    assert not (output / "history.json").exists()

    said, complaint = begin("disturbed").communicate()
    assert f"going on after step {end} of 111" in said
    undisturbed.communicate()
    assert history(output) == history(tmp_path / "undisturbed")
    assert_same(saved(output / "model"), saved(tmp_path / "undisturbed" / "model"))
    assert not checkpoints.exists(), "what a finished run needs no more"
    assert_shown_once(output)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A job in a folder of its own, with a checkpoint after every call."""

    def make():
        folder = str(tmp_path_factory.mktemp("job"))
        return Job(CONFIG, folder, os.path.join(folder, "state"), checkpoint_minutes=0.0)

    return make


@pytest.fixture(scope="module")
def undisturbed(job, data):
    """A run of two workers that all goes well with: its job and its model."""
    done = job()
    return done, run_job(done, *data, 2, launch_local)


@pytest.fixture
def run_disturbed(locks, data, monkeypatch):
    """Runs a job on two workers, one of which a signal comes to."""

    def start(job, worker, *coming, prelude=DISTURBED):
        monkeypatch.setenv("LOCKS", str(locks))
        monkeypatch.setenv("DISTURB", json.dumps([worker, *coming]))

        def launch_disturbed(folder, workers):
            launch([sys.executable, "-c", prelude + WORK, folder], folder, workers)

        return run_job(job, *data, 2, launch_disturbed)

    return start


def log_of(job, worker):
    return pathlib.Path(job.state, "job", f"worker-{worker}.log").read_text()


@pytest.mark.slow
def test_workers_that_are_killed_and_stopped_end_as_ones_that_are_left_alone(undisturbed, run_disturbed, job, data):
    job = job()
    folder = pathlib.Path(job.state)
    for worker, calls in ((0, (16, 32)), (1, (32, 53))):
        with pytest.raises(WorkerError, match=f"worker {worker} of 2 was killed by SIGKILL"):
            run_disturbed(job, worker, *killed(*calls))
    found = steps(folder)

    with pytest.raises(InterruptError) as error:
        run_disturbed(job, 1, *stopped(found[-1]))
    assert error.value.exit_code == 128 + signal.SIGTERM
    end = CALLS[CALLS.index(found[-1]) + 2]
    for worker in range(2):
        assert f"going on after step {found[-1]} of 111" in log_of(job, worker)
        assert f"stopped after step {end}; started again, it goes on from there" in log_of(job, worker)
    assert steps(folder)[-1] == end

    model = run_job(job, *data, 2, launch_local)
    assert_same(weights(model), weights(undisturbed[1]))
    assert history(pathlib.Path(job.workdir)) == history(pathlib.Path(undisturbed[0].workdir))
    assert_shown_once(job.workdir)


# The chief takes its time to save, and worker 1 notes what there is when it ends.
LATE = """
import time, trainer.training.checkpoint, trainer.workers.job
save, is_chief, end = trainer.training.checkpoint.Checkpoints.save, trainer.workers.job.is_chief, os._exit
if index == 0:
    trainer.training.checkpoint.Checkpoints.save = lambda *arguments: time.sleep(0.5) or save(*arguments)
    trainer.workers.job.is_chief = lambda strategy: time.sleep(1.0) or is_chief(strategy)

def note_and_end(code):
    if index == 1:
        with open(os.path.join(sys.argv[1], "seen"), "w") as file:
            json.dump([*os.listdir(os.path.dirname(sys.argv[1])), *os.listdir(sys.argv[1])], file)
    end(code)

os._exit = note_and_end
"""


@pytest.mark.slow
def test_no_worker_ends_before_all_have_come_through_and_the_chief_has_saved(run_disturbed, job):
    """Else it takes along the last answers that the chief needs, where they are not written yet."""
    job = job()
    seen = pathlib.Path(job.state, "job", "seen")
    with pytest.raises(InterruptError):
        run_disturbed(job, 1, *stopped(16), prelude=DISTURBED + LATE)
    assert "step-000000037" in json.loads(seen.read_text())
    run_disturbed(job, *NOBODY, prelude=DISTURBED + LATE)
    assert "weights" in json.loads(seen.read_text())


@pytest.mark.slow
def test_workers_that_see_different_folders_are_told_so(undisturbed, run_disturbed):
    job, _ = undisturbed
    elsewhere = """
import dataclasses, trainer.workers.job
job_of = trainer.workers.job.Job.from_dict
if index == 1:
    trainer.workers.job.Job.from_dict = lambda values: dataclasses.replace(job_of(values), state="elsewhere")
"""
    with pytest.raises(UserError, match="expected that every worker sees the same folder") as error:
        run_disturbed(job, *NOBODY, prelude=DISTURBED + elsewhere)
    assert re.search(r"this worker has (111|0) steps in its newest checkpoint, others another number", str(error.value))
