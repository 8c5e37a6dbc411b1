"""A run that is killed or stopped, anywhere, and started again ends to the bit like one that is left alone."""

import dataclasses
import fcntl
import json
import math
import random
import signal

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import trainer.__main__
import trainer.workers.job
from trainer.evaluate import Evaluator
from trainer.failure import FILE, Kind, left
from trainer.presets import PRESETS
from trainer.settings import TrainConfig
from trainer.training.checkpoint import Checkpoints
from trainer.training.loop import train_and_evaluate
from trainer.training.record import Progress
from trainer.training.step import TrainStep

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
    importance_samples=0,
    clip_norm=10.0,
    ema_decay=0.5,
    horizontal_flips=True,
)
LADDER = {
    "encoder": "GaussianLadder",
    "decoder": "BernoulliLadder",
    "channels": 2,
    "ladder_layers": 1,
    "latent_channels": 1,
    "iaf_steps": 1,
    "iaf_hidden_size": 2,
    "learning_rate": 0.01,
}
IMAGES = 302  # to train on, and hold out: 37 steps an epoch, as calls of 16, 16 and 5
CALLS = [0, 16, 32, 37, 53, 69, 74, 90, 106, 111]  # first steps of the calls, and the end

# The start of a process that gets a signal: worker `who`, at the call of step `latest`, or some seconds after the call
# of step `earliest` if that is sooner. Every process holds a lock while it lives.
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
    """SIGKILL at a random moment after a step, in an evaluation or while a checkpoint is written too."""
    return signal.SIGKILL, earliest, random.uniform(0.01, 0.4), latest


def stopped(step):
    """SIGTERM at a step."""
    return signal.SIGTERM, math.inf, 0.0, step


EVERY_CALL = """
import trainer.workers.job
train = trainer.workers.job.train_and_evaluate
trainer.workers.job.train_and_evaluate = lambda *arguments: train(*arguments[:-2], 0.0, 0.0)
"""

TRAIN = """
import json, os, runpy
from trainer.presets import PRESETS
from trainer.settings import TrainConfig
PRESETS["tiny"] = TrainConfig(**json.loads(os.environ["RECIPE"]))
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
    assert set(one) == set(other)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def history(folder):
    """The history without times."""
    content = json.loads((folder / "history.json").read_text())
    for epoch in content["epochs"]:
        del epoch["seconds"], epoch["images_per_second"]
    return content


def assert_shown_once(folder):
    """TensorBoard shows every epoch once."""
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
@pytest.mark.parametrize(
    ("settings", "places"),
    [
        ({}, {4: 16, 10: 37, 29: 90}),  # after a checkpoint, in an evaluation, and when the best epoch is over
        (LADDER, {4: 16}),
    ],
    ids=["VAE", "ladder"],
)
def test_a_run_that_dies_anywhere_ends_as_one_that_does_not(settings, places, data, tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, **settings)

    def start(folder):
        return train_and_evaluate(config, *data, str(tmp_path / folder), checkpoint_minutes=0.0)

    deaths = Deaths(monkeypatch)
    monkeypatch.setattr(Progress, "best", property(lambda progress: progress.epochs[:2][-1]))  # never the last epoch
    undisturbed = start("undisturbed")
    assert undisturbed.best_epoch < CONFIG.epochs
    died = []
    for place in places:
        deaths.calls, deaths.place = 0, place
        with pytest.raises(Killed):
            start("disturbed")
        died.append(steps(tmp_path / "disturbed" / "checkpoints")[-1])
    assert died == list(places.values())
    deaths.place = None
    result = start("disturbed")
    assert_same(weights(result.model), weights(undisturbed.model))
    assert history(tmp_path / "disturbed") == history(tmp_path / "undisturbed")
    assert_shown_once(tmp_path / "disturbed")


@pytest.fixture
def arguments(tmp_path, data, png, example, write_records, monkeypatch):
    """Arguments of `python -m trainer` with that output."""
    for split, images in zip(("train", "test"), data, strict=True):
        records = [example(png(image), f"{split}_{i}") for i, image in enumerate(images.pixels)]
        write_records(tmp_path / f"{split}.gz", records)
    monkeypatch.setitem(PRESETS, "tiny", CONFIG)
    options = {"train": "train.gz", "test": "test.gz"}
    return lambda output: [
        *("--preset", "tiny"),
        *(word for name, file in {**options, "output": output}.items() for word in (f"--{name}", str(tmp_path / file))),
    ]


@pytest.fixture
def disturb(arguments, locks, run_forked):
    """Runs it in a process of its own that gets a signal; returns the exit code and what it said."""

    def run(output, *coming, prelude=EVERY_CALL):
        disturbance = json.dumps([0, *coming])
        given = {"LOCKS": str(locks), "DISTURB": disturbance, "RECIPE": json.dumps(CONFIG.to_dict())}
        return run_forked(DISTURBED + prelude + TRAIN, *arguments(output), **given)

    return run


def saved(model):
    """Every array of a SavedModel by its name."""
    reader = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    names = set(reader.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    return {name: reader.get_tensor(name) for name in names}


@pytest.mark.slow
def test_a_killed_and_stopped_process_ends_as_one_that_is_left_alone(disturb, arguments, tmp_path):
    """By default it has a checkpoint after its first steps."""
    output = tmp_path / "disturbed"
    checkpoints = output / "checkpoints"
    assert disturb("disturbed", *killed(16, 16), prelude="")[0] == -signal.SIGKILL
    assert steps(checkpoints) == [16]
    code, said = disturb("disturbed", *killed(32, 53))
    assert code == -signal.SIGKILL
    assert f"after step 16 of 111 from {checkpoints}/step-{16:09d}\n" in said

    found = steps(checkpoints)
    code, said = disturb("disturbed", *stopped(found[-1]))
    assert code == 128 + signal.SIGTERM
    assert f"after step {found[-1]} of 111 from {checkpoints}/step-{found[-1]:09d}\n" in said
    end = CALLS[CALLS.index(found[-1]) + 2]  # the signal arrives in the first call, all hear of it in the next
    assert steps(checkpoints)[-1] == end
    assert left(str(output / FILE)).kind == Kind.STOPPED
    assert not (output / "model").exists()
    assert not (output / "history.json").exists()

    assert [trainer.__main__.main(arguments(name)) for name in ("disturbed", "undisturbed")] == [0, 0]
    assert history(output) == history(tmp_path / "undisturbed")
    assert_same(saved(output / "model"), saved(tmp_path / "undisturbed" / "model"))
    assert not checkpoints.exists(), "a finished run needs it no more"
    assert not (output / FILE).exists()
    assert_shown_once(output)


# Runs a job in a folder on two workers that run a program, and leaves the weights there, or the failure.
LAUNCH = """
import subprocess, sys
import numpy as np
from forked import ForkedProcess
from trainer.errors import ReportedError
from trainer.failure import leave
from trainer.images import ImageSet
from trainer.settings import Execution, TrainConfig
from trainer.workers import launch
from trainer.workers.job import Job, run_job

folder, settings, images, program = sys.argv[1:]
subprocess.Popen, launch.STOP_SECONDS = ForkedProcess, 0.5
execution = Execution(workers=2, checkpoint_percent=100.0)  # a checkpoint after every call
job = Job(TrainConfig(**json.loads(settings)), folder, folder + "/state", execution=execution)
arrays = list(np.load(images).values())
command = lambda folder: [sys.executable, "-c", program, folder]
try:
    model = run_job(
        job, ImageSet(*arrays[:2]), ImageSet(*arrays[2:]), lambda folder, n: launch.launch(command(folder), folder, n)
    )
    np.savez(folder + "/weights.npz", *(variable.numpy() for variable in model.variables))
except ReportedError as error:
    leave(error.failure, folder + "/error.json")
    sys.exit(error.exit_code)
"""


@pytest.fixture
def run_workers(locks, data, tmp_path, run_forked):
    """Runs the job in a folder on two workers, one of which may get a signal; returns its failure, if it fails."""
    np.savez(tmp_path / "images.npz", *data[0], *data[1])

    def run(folder, worker, *coming, prelude=DISTURBED):
        folder.mkdir(exist_ok=True)
        arguments = str(folder), json.dumps(CONFIG.to_dict()), str(tmp_path / "images.npz"), prelude + WORK
        disturbance = {"LOCKS": str(locks), "DISTURB": json.dumps([worker, *coming])}
        code, said = run_forked("import json\n" + LAUNCH, *arguments, **disturbance)
        failure = left(str(folder / FILE)) if code else None
        assert (failure.exit_code if failure else 0) == code, said
        return failure

    return run


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
def test_workers_that_are_killed_and_stopped_end_as_ones_that_are_left_alone(run_workers, tmp_path):
    """And none ends before all have come through and the chief has saved.

    Else it would take along the last answers that the chief needs, where they are not written yet.
    """
    disturbed, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"
    folder = disturbed / "state"
    for worker, calls in ((0, (16, 32)), (1, (32, 53))):
        failure = run_workers(disturbed, worker, *killed(*calls))
        assert f"worker {worker} of 2 was killed by SIGKILL" in failure.sentence
    found = steps(folder)

    failure = run_workers(disturbed, 1, *stopped(found[-1]), prelude=DISTURBED + LATE)
    assert failure.exit_code == 128 + signal.SIGTERM
    end = CALLS[CALLS.index(found[-1]) + 2]
    for worker in range(2):
        said = (folder / f"job/worker-{worker}.log").read_text()
        assert f"after step {found[-1]} of 111 from {folder}/step-{found[-1]:09d}\n" in said
    assert steps(folder)[-1] == end
    assert f"step-{end:09d}" in json.loads((folder / "job/seen").read_text())

    assert not run_workers(disturbed, *NOBODY, prelude=DISTURBED + LATE)
    assert "weights" in json.loads((folder / "job/seen").read_text())
    assert not run_workers(undisturbed, *NOBODY)
    assert_same(np.load(disturbed / "weights.npz"), np.load(undisturbed / "weights.npz"))
    assert history(disturbed) == history(undisturbed)
    assert_shown_once(disturbed)
