"""Laws of checkpoints: a restored state is the newest saved one that is whole, or there is none."""

import contextlib
import errno
import os
import pathlib
import random
import resource
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from trainer.errors import InterruptError, StorageError, UnreadableError, UserError
from trainer.evaluate import MeanELBO
from trainer.settings import TrainConfig
from trainer.storage.digests import write_digests
from trainer.storage.temporary import _host
from trainer.training import checkpoint
from trainer.training.checkpoint import KEPT, Checkpoints
from trainer.training.optimizer import build_optimizer
from trainer.training.record import Epoch, Progress

RUN = {"learning_rate": 0.1, "base model": None}
FILES = ("data/state.index", "data/state.data-00000-of-00001", "data.digests.json")


class State(tf.Module):
    """Variables of several kinds, which are all `value`."""

    def __init__(self, value):
        super().__init__()
        self.weights = [tf.Variable(tf.fill([8, 4], tf.cast(value, tf.float64))), tf.Variable(value, dtype=tf.int64)]

    @property
    def values(self):
        return {float(number) for variable in self.weights for number in np.ravel(variable.numpy())}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture
def open_state(folder):
    """A state of that value, and its checkpoints."""

    def start(value, run=RUN, writes=True):
        state = State(value)
        return state, Checkpoints(str(folder), run, writes, state=state)

    return start


@pytest.fixture
def save(open_state):
    """Saves states whose value is the number of their steps and their progress."""

    def save_all(*values):
        for value in values:
            open_state(value)[1].save(value, {"steps": value})

    return save_all


@pytest.fixture
def restore(open_state, caplog):
    """What a process with the value -1 restores: state, progress, and the arguments of its warnings."""

    def start(writes=True):
        caplog.clear()
        state, checkpoints = open_state(-1, writes=writes)
        progress = checkpoints.restore()
        (value,) = state.values
        return value, progress and progress["steps"], [record.args for record in caplog.records]

    return start


def dead():
    """The number of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def content(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("settings", [{}, {"encoder": "GaussianLadder", "decoder": "BernoulliLadder"}], ids=str)
def test_everything_comes_back_to_the_bit(settings, folder, make_vae, scramble, weights_of):
    config = TrainConfig(ema_decay=0.5)
    mean = MeanELBO(-1 / 3, 2e-300, -3e300)
    progress = Progress(7, -0.1, 1e9 / 7, (Epoch(1, -np.pi, mean, mean, 1 / 7, 0.1), Epoch(2, 5.0, mean, mean, 1.0, 2)))

    def make(seed):
        model = make_vae(seed, **settings)
        state = {"model": model, "optimizer": build_optimizer(config, model.trainable_variables, 5)}
        return scramble(state["optimizer"], seed=seed), Checkpoints(str(folder), {}, True, **state)

    saved, checkpoints = make(1)
    checkpoints.save(progress.steps, progress.to_dict())
    restored, others = make(2)
    assert Progress.from_dict(others.restore()) == progress
    assert len(restored.variables) == 4 * len(make_vae(**settings).trainable_variables), (
        "the weights, two moments, and the mean"
    )
    for one, other in zip(weights_of(saved), weights_of(restored), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_checkpoints_a_run_starts_anew(open_state, folder):
    state, checkpoints = open_state(-1)
    assert checkpoints.newest() is None
    assert checkpoints.restore() is None
    assert state.values == {-1}
    assert not folder.exists()


@pytest.mark.parametrize("steps", [(2, 4, 6, 8, 10), (999_999_998, 999_999_999, 10**9, 10**9 + 1)])
def test_the_newest_are_kept(steps, save, restore, open_state, folder):
    save(*steps)
    assert names(folder) == sorted(f"step-{step:09d}" for step in steps[-KEPT:])
    checkpoints = open_state(0)[1]
    assert checkpoints.newest() == str(folder / f"step-{steps[-1]:09d}")
    assert checkpoints.newest(before=steps[-1]) == str(folder / f"step-{steps[-2]:09d}")
    assert checkpoints.newest(before=steps[-KEPT]) is None
    assert restore() == (steps[-1], steps[-1], [])


def test_the_same_step_again_replaces_its_checkpoint(save, open_state, folder):
    save(1, 2)
    open_state(5)[1].save(2, {"steps": 2})
    state, checkpoints = open_state(-1)
    checkpoints.restore()
    assert state.values == {5}
    assert names(folder) == ["step-000000001", "step-000000002"]


@contextlib.contextmanager
def limited(kind, limit):
    """Limits a resource of this process."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def test_a_file_system_that_takes_no_more_is_one_message_and_no_half_checkpoint(save, restore, folder):
    save(1, 2)
    before = content(folder)
    with limited(resource.RLIMIT_FSIZE, 100), pytest.raises(StorageError) as error:
        save(3)
    assert error.value.failure.value == f"{folder}/step-000000003"
    assert error.value.failure.cause == "File too large"
    assert content(folder) == before
    assert restore() == (2, 2, [])


@pytest.mark.parametrize("call", ["makedirs", "rename"])
@pytest.mark.parametrize("error", [OSError(28, "no space"), tf.errors.ResourceExhaustedError(None, None, "no space")])
def test_whatever_fails_on_the_way_leaves_the_older_ones(call, error, save, restore, folder, monkeypatch):
    def fail(*arguments, **options):
        raise error

    save(1, 2)
    before = content(folder)
    with monkeypatch.context() as patch:
        patch.setattr(tf.io.gfile, call, fail)
        with pytest.raises(StorageError) as raised:
            save(3)
    assert raised.value.failure.value == f"{folder}/step-000000003"
    assert raised.value.failure.cause == "no space"
    assert content(folder) == before
    assert restore() == (2, 2, [])


@pytest.mark.parametrize("error", [InterruptError(15), KeyboardInterrupt()])
def test_an_interrupt_while_one_is_written_leaves_nothing_of_it(error, save, folder, monkeypatch):
    def interrupted(self, prefix):
        pathlib.Path(prefix).parent.mkdir(parents=True)
        pathlib.Path(prefix).write_text("half")
        raise error

    save(1)
    before = content(folder)
    monkeypatch.setattr(tf.train.Checkpoint, "write", interrupted)
    with pytest.raises(type(error)):
        save(2)
    assert content(folder) == before


def test_a_folder_that_cannot_be_made_is_named(save, folder):
    folder.write_text("a file")
    with pytest.raises(StorageError) as error:
        save(1)
    assert error.value.failure.value == f"{folder}/step-000000001"
    assert folder.read_text() == "a file"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_a_killed_process_left_unfinished_is_no_harm(kind, save, restore, folder):
    save(1)
    unfinished = folder / f"unfinished.step-000000002.{_host()}.{dead()}.0"
    if kind == "file":
        unfinished.write_text("half")
    else:
        shutil.copytree(folder / "step-000000001", unfinished)
        (unfinished / FILES[1]).write_text("half")
    assert restore() == (1, 1, [])
    save(2)
    assert names(folder) == ["step-000000001", "step-000000002"]
    assert restore() == (2, 2, [])


def empty(path):
    shutil.rmtree(path)
    path.mkdir()


DAMAGES = {
    "an empty folder": empty,
    "a file": lambda path: (shutil.rmtree(path), path.write_text("garbage")),
    "garbage": lambda path: [(path / name).write_bytes(b"garbage" * 99) for name in FILES],
    "zeros": lambda path: [(path / name).write_bytes(bytes(len((path / name).read_bytes()))) for name in FILES],
    **{f"no {name}": lambda path, name=name: (path / name).unlink() for name in FILES},
    **{
        f"{name} cut to {part} of 8": lambda path, name=name, part=part: (path / name).write_bytes(
            (path / name).read_bytes()[: part * len((path / name).read_bytes()) // 8]
        )
        for name in FILES
        for part in (0, 3, 7)
    },
    **{
        f"{name} without its end": lambda path, name=name: (path / name).write_bytes((path / name).read_bytes()[:-1])
        for name in FILES
    },
    "another's data": lambda path: shutil.copy(path.with_name("step-000000001") / FILES[1], path / FILES[1]),
    "another program's": lambda path: write_other(path, state=State(7)),
    "no progress": lambda path: write_other(path, state=State(7), progress=tf.Variable("")),
    "progress of something else": lambda path: write_other(path, state=State(7), progress=tf.Variable("[1]")),
    "no folder of data": lambda path: shutil.rmtree(path / "data"),
    "a file too many": lambda path: (path / "data/more").write_text("more"),
    "a folder in place of the digests": lambda path: ((path / FILES[2]).unlink(), (path / FILES[2]).mkdir()),
    "digests of nothing": lambda path: (path / FILES[2]).write_text("{}"),
    "digests in another form": lambda path: (path / FILES[2]).write_text('[{"size": 1}]'),
}


def write_other(path, **variables):
    """A whole checkpoint of other variables, with digests that fit."""
    empty(path / "data")
    tf.train.Checkpoint(**variables).write(str(path / "data/state"))
    write_digests(str(path / "data"))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_one_is_moved_with_a_warning_and_the_one_before_is_taken(damage, save, restore, folder):
    save(1, 2)
    damage(folder / "step-000000002")
    value, steps, (warning,) = restore()
    assert (value, steps) == (1, 1)
    path, what, moved = warning
    assert (path, moved) == (f"{folder}/step-000000002", f"{folder}/unreadable-step-000000002")
    assert "\n" not in str(what)
    assert names(folder) == ["step-000000001", "unreadable-step-000000002"]
    save(2)
    assert restore() == (2, 2, []), "nobody is warned twice, and the step can be saved again"


@contextlib.contextmanager
def unreadable(path):
    """Makes a path unreadable to this process, even as root."""
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(0o755)


def no_more_files(_):
    return limited(resource.RLIMIT_NOFILE, 0)


@contextlib.contextmanager
def endless(path):
    """Causes an error that TensorFlow has no class for, like one of a disk."""
    path.rename(path.with_name("kept"))
    path.symlink_to(path)
    yield
    path.with_name("kept").rename(path)


@pytest.mark.parametrize(
    ("trouble", "number", "place"),
    [
        *((unreadable, errno.EACCES, place) for place in ("", *FILES)),
        *((endless, errno.ELOOP, name) for name in FILES),
        (no_more_files, errno.EMFILE, ""),
    ],
)
def test_one_that_the_system_withholds_is_no_damage_and_waits(trouble, number, place, save, restore, folder, tmp_path):
    for parent in (tmp_path, *tmp_path.parents):  # some of them are pytest's, which others may not see
        if parent.stat().st_mode & 0o055 != 0o055:
            parent.chmod(0o755)
    save(1, 2)
    before = content(folder)
    path = folder / "step-000000002" / place
    with trouble(path), pytest.raises(UnreadableError) as error:
        restore()
    assert error.value.exit_code == 1, "a scheduler may try again"
    place = folder if number == errno.EMFILE else folder / "step-000000002"
    assert (error.value.failure.value, error.value.failure.cause) == (str(place), os.strerror(number))
    assert content(folder) == before
    assert restore() == (2, 2, [])


def test_one_that_is_withheld_when_it_is_taken_is_no_damage_either(save, restore, folder, monkeypatch):
    def fail(*_):
        raise tf.errors.UnavailableError(None, None, "the disk is elsewhere")

    save(1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(tf.train.Checkpoint, "read", fail)
        with pytest.raises(UnreadableError) as error:
            restore()
    assert error.value.failure.value == f"{folder}/step-000000002"
    assert restore() == (2, 2, [])


def test_a_damaged_one_that_cannot_be_moved_is_one_message(save, restore, folder, monkeypatch):
    def fail(*_):
        raise tf.errors.PermissionDeniedError(None, None, "Read-only file system")

    save(1, 2)
    empty(folder / "step-000000002")
    monkeypatch.setattr(tf.io.gfile, "rename", fail)
    with pytest.raises(StorageError) as error:
        restore()
    assert error.value.failure.value == f"{folder}/unreadable-step-000000002"


@pytest.mark.parametrize("name", FILES)
def test_no_flipped_byte_leads_to_a_wrong_state(name, save, restore, folder):
    """One in the padding of the index may do no harm at all."""
    save(1, 2)
    path = folder / "step-000000002" / name
    whole, noticed, places = path.read_bytes(), 0, range(0, path.stat().st_size, 13)
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        value, steps, warnings = restore()
        assert value == steps == 2 - len(warnings)
        noticed += len(warnings)
        if warnings:
            (folder / "unreadable-step-000000002").rename(folder / "step-000000002")
        path.write_bytes(whole)
    assert noticed == len(places)


RANDOM_DAMAGES = {
    "cut": lambda content, place, _: content[:place],
    "flipped": lambda content, place, rng: (
        content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]
    ),
    "overwritten": lambda content, place, rng: content[:place] + rng.randbytes(9) + content[place + 9 :],
    "zeroed": lambda content, place, _: (
        content[:place] + bytes(len(content[place : place + 64])) + content[place + 64 :]
    ),
    "repeated": lambda content, place, _: content[:place] + content,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", RANDOM_DAMAGES)
def test_random_damage_leads_to_the_state_or_to_the_one_before(kind, name, save, restore, folder):
    rng = random.Random(f"{kind} {name}")
    save(1, 2)
    path = folder / "step-000000002" / name
    content = path.read_bytes()
    for _ in range(20):
        damaged = RANDOM_DAMAGES[kind](content, rng.randrange(len(content)), rng)
        path.write_bytes(damaged)
        value, steps, warnings = restore()
        assert value == steps == 2 - len(warnings)
        assert warnings or damaged == content or name == FILES[2], "white space in the digests says nothing"
        if warnings:
            (folder / "unreadable-step-000000002").rename(folder / "step-000000002")
        path.write_bytes(content)


def test_when_all_are_damaged_a_run_starts_anew_with_what_it_has(save, restore, folder):
    save(1, 2, 3)
    for path in folder.glob("step-*/data/*.index"):
        path.write_bytes(path.read_bytes()[:-9])
    value, steps, warnings = restore()
    assert (value, steps, len(warnings)) == (-1, None, 3)
    assert names(folder) == [f"unreadable-step-00000000{step}" for step in (1, 2, 3)]


@pytest.mark.parametrize(
    "error", [OSError(errno.EPERM, "not allowed"), tf.errors.PermissionDeniedError(None, None, "no")]
)
def test_one_that_cannot_be_removed_is_a_warning(error, save, restore, folder, monkeypatch, caplog):
    def fail(_):
        raise error

    save(*range(1, KEPT + 1))
    with monkeypatch.context() as patch:
        patch.setattr(tf.io.gfile, "rmtree", fail)
        save(KEPT + 1)
        (warning,) = caplog.records
        assert warning.args[0] == f"{folder}/step-000000001"
        assert restore() == (KEPT + 1, KEPT + 1, [])
    save(KEPT + 2)
    assert names(folder) == [f"step-{step:09d}" for step in range(3, KEPT + 3)], "it is tried again"


def test_a_damaged_one_is_moved_though_the_one_before_it_cannot_be_removed(save, restore, folder, monkeypatch):
    def fail(_):
        raise OSError(errno.EPERM, "not allowed")

    for _ in range(2):
        save(1, 2)
        (folder / "step-000000002" / FILES[0]).unlink()
        monkeypatch.setattr(tf.io.gfile, "rmtree", fail)
        value, steps, warnings = restore()
        assert (value, steps) == (1, 1)
        monkeypatch.undo()
    assert len(warnings) == 2
    assert [name.split(".")[0] for name in names(folder)] == [
        "replaced",
        "step-000000001",
        "unreadable-step-000000002",
    ]


def test_one_that_was_moved_away_for_a_new_version_that_never_came_is_brought_back(save, restore, folder):
    save(1, 2)
    (folder / "step-000000002").rename(folder / f"replaced.step-000000002.{_host()}.{dead()}.0")
    assert restore() == (2, 2, [])
    assert names(folder) == ["step-000000001", "step-000000002"]


def test_one_that_is_damaged_again_is_moved_again(save, restore, folder):
    for _ in range(2):
        save(1, 2)
        (folder / "step-000000002" / FILES[0]).unlink()
        assert restore()[:2] == (1, 1)
    assert names(folder) == ["step-000000001", "unreadable-step-000000002"]


def test_a_process_that_does_not_write_reads_all_the_same(save, restore, open_state, folder):
    save(1, 2)
    (folder / "step-000000002" / FILES[1]).unlink()
    before = content(folder)
    value, steps, warnings = restore(writes=False)
    assert (value, steps, len(warnings)) == (1, 1, 1)
    open_state(3, writes=False)[1].save(3, {"steps": 3})
    assert content(folder) == before


@pytest.mark.parametrize(
    ("run", "there"),
    [
        (RUN | {"learning_rate": 0.2}, {"learning_rate": 0.1}),
        (RUN | {"base model": "a"}, {"base model": None}),
        ({"base model": 1, "learning_rate": 9}, {"base model": None, "learning_rate": 0.1}),
        (RUN | {"new": 1}, {"new": None}),
        ({"base model": None}, {"learning_rate": 0.1}),
    ],
)
def test_one_of_another_run_is_refused_with_the_difference(run, there, save, open_state, folder):
    save(1)
    before = content(folder)
    state, checkpoints = open_state(-1, run=run)
    with pytest.raises(UserError) as error:
        checkpoints.restore()
    assert error.value.failure.value == there
    assert error.value.failure.valid == str({name: run.get(name) for name in there})
    assert str(folder) in error.value.failure.remedy
    assert state.values == {-1}
    assert content(folder) == before


@pytest.mark.parametrize(
    "change", [lambda state: state.weights.pop(), lambda state: setattr(state, "w", tf.Variable(1))]
)
def test_one_of_other_code_is_refused(change, save, folder):
    save(1)
    state = State(-1)
    change(state)
    with pytest.raises(UserError) as error:
        Checkpoints(str(folder), RUN, True, state=state).restore()
    assert error.value.failure.value == f"{folder}/step-000000001"


def test_other_things_in_the_folder_are_left_alone(save, restore, folder):
    (folder / "job").mkdir(parents=True)
    (folder / "step-12").mkdir()
    (folder / "notes").write_text("mine")
    save(1)
    assert restore() == (1, 1, [])
    assert names(folder) == ["job", "notes", "step-000000001", "step-12"]


def test_some_are_kept():
    assert checkpoint.KEPT >= 2, "when the newest is damaged there has to be one before it"
