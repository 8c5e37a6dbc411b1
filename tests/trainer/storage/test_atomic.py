"""Files and folders appear whole or not at all, and a failed write says why."""

import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

import trainer
from trainer.errors import StorageError, UnreadableError
from trainer.storage.atomic import OLD_SECONDS, reading, recover, remove, storing, whole
from trainer.storage.temporary import REPLACED, UNFINISHED, _host

ROOT = pathlib.Path(trainer.__file__).parents[1]


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("before", [None, "file", "folder"])
def test_it_is_there_when_it_is_whole_whatever_was_there_before(kind, before, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(before, tmp_path / "it", "old")
    with whole("it", "it") as path:
        make(kind, pathlib.Path(path), "new")
        assert (tmp_path / "it").exists() == bool(before)
    assert [found.name for found in tmp_path.iterdir()] == ["it"]
    assert "new" in (tmp_path / "it" / "content" if kind == "folder" else tmp_path / "it").read_text()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_if_it_fails_there_is_what_was_there(kind, tmp_path):
    def write(path):
        with whole("it", str(path)) as unfinished:
            make(kind, pathlib.Path(unfinished), "half")
            raise ZeroDivisionError

    make(kind, tmp_path / "it", "old")
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "it")
    assert [found.name for found in tmp_path.iterdir()] == ["it"]
    assert "old" in (tmp_path / "it" / "content" if kind == "folder" else tmp_path / "it").read_text()


@pytest.fixture
def synced(monkeypatch):
    """Paths that were flushed to disk, under the names that they had then."""
    found, fsync = [], os.fsync

    def note(descriptor):
        found.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return found


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no way to name an open file")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_disk_holds_all_of_it_before_it_gets_its_name_and_the_name_then(kind, synced, tmp_path):
    with whole("it", str(tmp_path / "it")) as unfinished:
        make(kind, pathlib.Path(unfinished), "new")
        if kind == "folder":
            make("folder", pathlib.Path(unfinished, "deeper"), "new")
    parts = ["", "/content", "/deeper", "/deeper/content"] if kind == "folder" else [""]
    assert sorted(synced[:-1]) == [unfinished + part for part in parts]
    assert synced[-1] == str(tmp_path)


def test_what_the_disk_does_not_hold_gets_no_name(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError) as error:
        write(tmp_path / "it")
    assert error.value.failure.cause == "Input/output error"
    assert not list(tmp_path.iterdir())


def write(path):
    with whole("it", str(path)) as unfinished:
        make("folder", pathlib.Path(unfinished), "new")


def test_a_bucket_is_written_as_ever():
    with whole("it", "ram://bucket/it") as unfinished:
        tf.io.gfile.makedirs(unfinished)
    assert tf.io.gfile.isdir("ram://bucket/it")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def make(kind, path, content):
    if kind == "folder":
        path.mkdir()
        path /= "content"
    if kind:
        path.write_text(content)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "/there/state"),
        OSError("No space left on device"),
        tf.errors.ResourceExhaustedError(
            None, None, "{{function_node w}} /there/state; No space left on device [Op:Save]"
        ),
        tf.errors.UnknownError(None, None, "/there/state; No space left on device\n\tFailed to flush"),
    ],
)
@pytest.mark.parametrize(("block", "kind"), [(storing, StorageError), (reading, UnreadableError)])
def test_an_error_of_the_disk_says_where_and_why(block, kind, error):
    with pytest.raises(kind) as raised, block("the model", "/there"):
        raise error
    assert (raised.value.failure.value, raised.value.failure.cause) == ("/there", "No space left on device")
    assert raised.value.exit_code == 1, "a scheduler may try again"


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt(), ZeroDivisionError()])
def test_a_rename_that_fails_leaves_the_old_version(place, error, tmp_path, monkeypatch):
    make("folder", tmp_path / "it", "old")
    rename, calls = tf.io.gfile.rename, []

    def fail(*arguments, **options):
        calls.append(arguments)
        if len(calls) == place + 1:
            raise error
        rename(*arguments, **options)

    monkeypatch.setattr(tf.io.gfile, "rename", fail)
    with pytest.raises(StorageError if isinstance(error, OSError) else type(error)):
        write(tmp_path / "it")
    assert names(tmp_path) == ["it"]
    assert (tmp_path / "it/content").read_text() == "old"


def test_if_the_old_version_cannot_be_moved_back_the_next_call_does_it(tmp_path, monkeypatch):
    make("folder", tmp_path / "it", "old")
    rename, calls = tf.io.gfile.rename, []

    def fail(*arguments, **options):
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError(errno.EIO, "Input/output error")
        rename(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(tf.io.gfile, "rename", fail)
        with pytest.raises(StorageError):
            write(tmp_path / "it")
    assert not (tmp_path / "it").exists()
    with pytest.raises(ZeroDivisionError), whole("it", str(tmp_path / "it")):
        raise ZeroDivisionError
    assert names(tmp_path) == ["it"]
    assert (tmp_path / "it/content").read_text() == "old"


# Replaces `it` in each of some folders in a process of its own, which dies before a call.
KILLED = """
import json, os, signal, sys
import tensorflow as tf
from trainer.storage import atomic as storage

def mortal(module, name, place):
    method, calls = getattr(module, name), []
    def call(*arguments, **options):
        calls.append(0)
        if len(calls) == place:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments, **options)
    setattr(module, name, call)

for folder, module, name, place in json.loads(sys.argv[1]):
    if os.fork() == 0:
        mortal({"gfile": tf.io.gfile, "storage": storage}[module], name, place)
        with storage.whole("it", os.path.join(folder, "it")) as unfinished:
            os.mkdir(unfinished)
            with open(os.path.join(unfinished, "content"), "w") as file:
                file.write("new")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)  # or the next one has it in its buffer
"""
KILLS = {
    ("storage", "sync", 1): (["it", "unfinished"], "old"),
    ("gfile", "rename", 1): (["it", "unfinished"], "old"),
    ("gfile", "rename", 2): (["replaced", "unfinished"], "old"),
    ("storage", "discard", 1): (["it", "replaced"], "new"),
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory, run_forked):
    """The folder that each killed process left."""
    folders = {call: tmp_path_factory.mktemp("killed") for call in KILLS}
    for folder in folders.values():
        make("folder", folder / "it", "old")
    aims = json.dumps([(str(folder), *call) for call, folder in folders.items()])
    code, said = run_forked(KILLED, aims)
    assert (code, said.split()) == (0, [str(-signal.SIGKILL)] * len(KILLS))
    return folders


@pytest.mark.parametrize("call", KILLS, ids=lambda call: f"{call[1]}-{call[2]}")
@pytest.mark.slow
def test_a_process_killed_between_two_steps_leaves_a_version(call, killed):
    folder, (left, found) = killed[call], KILLS[call]
    path = folder / "it"
    assert [one.split(".")[0] for one in names(folder)] == left
    recover(str(path))
    assert (path / "content").read_text() == found
    write(path)
    assert names(folder) == ["it"], "what it left is removed"
    assert (path / "content").read_text() == "new"


def leave(folder, kind, host, pid):
    path = folder / f"{kind}.it.{host}.{pid}.7"
    make("folder", path, kind)
    return path


@pytest.fixture
def dead():
    """The number of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_a_living_process_writes_is_left_to_it(tmp_path):
    """Process 1 lives, and is not this one's."""
    here, elsewhere = leave(tmp_path, UNFINISHED, _host(), 1), leave(tmp_path, UNFINISHED, "elsewhere", 1)
    with whole("it", str(tmp_path / "it")) as mine:
        make("folder", pathlib.Path(mine), "mine")
        write(tmp_path / "it")
        assert pathlib.Path(mine).exists(), "another thread of this process leaves it too"
    assert (tmp_path / "it/content").read_text() == "mine"
    assert here.exists()
    assert elsewhere.exists()
    moved = leave(tmp_path, REPLACED, _host(), 1)
    (tmp_path / "it").rename(tmp_path / "gone")
    recover(str(tmp_path / "it"))
    assert moved.exists(), "it is about to rename another version"
    assert not (tmp_path / "it").exists()


def test_what_killed_processes_left_is_removed(tmp_path, dead):
    left = [
        leave(tmp_path, UNFINISHED, _host(), dead),
        leave(tmp_path, REPLACED, _host(), dead),
        leave(tmp_path, UNFINISHED, _host(), os.getpid()),  # of an earlier process of this number
        leave(tmp_path, UNFINISHED, _host(), 1),
        leave(tmp_path, UNFINISHED, "elsewhere", 1),
    ]
    for path in left[-2:]:
        os.utime(path, (time.time() - OLD_SECONDS - 60,) * 2)
    (tmp_path / "unfinished").mkdir()
    make("folder", tmp_path / "it", "old")
    write(tmp_path / "it")
    assert names(tmp_path) == ["it", "unfinished"], "the latter is somebody's"


@pytest.mark.parametrize("host", ["elsewhere", None])
def test_an_old_version_that_has_no_successor_is_brought_back_from_wherever(host, tmp_path, dead):
    leave(tmp_path, REPLACED, host or _host(), dead)
    leave(tmp_path, UNFINISHED, host or _host(), dead)
    recover(str(tmp_path / "it"))
    assert (tmp_path / "it/content").read_text() == REPLACED
    recover(str(tmp_path / "it"))
    assert (tmp_path / "it/content").read_text() == REPLACED


def test_of_several_that_bring_it_back_each_goes_on(tmp_path, dead, monkeypatch):
    leave(tmp_path, REPLACED, _host(), dead)
    rename = tf.io.gfile.rename

    def too_late(source, target):
        rename(source, target)
        rename(source, target)

    monkeypatch.setattr(tf.io.gfile, "rename", too_late)
    recover(str(tmp_path / "it"))
    assert (tmp_path / "it/content").read_text() == REPLACED


def test_an_old_version_that_cannot_be_removed_is_a_warning(tmp_path, monkeypatch, caplog):
    def fail(_):
        raise tf.errors.PermissionDeniedError(None, None, "Operation not permitted")

    make("folder", tmp_path / "it", "old")
    with monkeypatch.context() as patch:
        patch.setattr(tf.io.gfile, "rmtree", fail)
        write(tmp_path / "it")
    assert (tmp_path / "it/content").read_text() == "new"
    (warning,) = caplog.records
    assert warning.args[0].startswith(f"{tmp_path}/replaced.it.")
    assert warning.args[1] == "Operation not permitted"
    write(tmp_path / "it")
    assert names(tmp_path) == ["it"]


FULL = """
import os, pathlib, sys
import trainer
from trainer.errors import StorageError
from trainer.storage.atomic import whole

folder = pathlib.Path(sys.argv[1])
for kind in ("file", "folder"):
    for content in (b"o" * 300_000, b"n" * 900_000):
        try:
            with whole("it", str(folder / kind)) as path:
                if kind == "folder":
                    os.mkdir(path)
                    path += "/content"
                with open(path, "wb") as file:
                    file.write(content)
        except StorageError as error:
            print(error.failure.cause)
print([path.name for path in sorted(folder.iterdir())])
print(set((folder / "file").read_bytes() + (folder / "folder/content").read_bytes()) == set(b"o"))
"""


@pytest.mark.slow
def test_a_full_disk_keeps_the_old_version(tmp_path):
    mount = 'mount -t tmpfs -o size=1000k tmpfs "$0" && '
    shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*shell, mount + "true", str(tmp_path)]).returncode:
        pytest.skip("no file systems of one's own here")
    command = [*shell, mount + '"$@"', str(tmp_path), sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    *causes, left, same = done.stdout.splitlines()
    assert causes == ["No space left on device"] * 2
    assert left == "['file', 'folder']"
    assert same == "True"


def test_what_is_not_there_need_not_be_removed(tmp_path):
    remove(str(tmp_path / "it"))
