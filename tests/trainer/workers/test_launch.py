"""Laws of the launcher, with real processes: however workers end, the right one is named and none is left running."""

import fcntl
import json
import logging
import os
import pathlib
import resource
import signal
import site
import socket
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest

from trainer.errors import InterruptError, ReportedError, StorageError, UserError
from trainer.failure import Failure, Kind, leave
from trainer.interrupt import SIGNALS
from trainer.workers import launch
from trainer.workers.launch import WorkerError
from trainer.workers.ports import reserved_ports

LIMIT = 60  # seconds; never reached unless something is broken

# The start of the scripts below. A worker holds a lock while it lives, however it ends.
PRELUDE = f"""
import fcntl, json, os, pathlib, signal, sys, time

folder = pathlib.Path(sys.argv[1])
config = json.loads(os.environ["TF_CONFIG"])
index = config["task"]["index"]

def say(name, text=""):
    (folder / "new").joinpath(f"{{index}}").write_text(text)
    (folder / "new").joinpath(f"{{index}}").rename(folder / name)

def wait_until(condition):
    end = time.monotonic() + {LIMIT}
    while not condition():
        if time.monotonic() > end:
            say("waited in vain")
            os._exit(99)
        time.sleep(0.01)

def wait_for(name):
    wait_until((folder / name).exists)

def wait_for_the_end_of(other):
    wait_for(f"ready-{{other}}")
    fcntl.flock(open(folder / f"lock-{{other}}"), fcntl.LOCK_EX)

def leave(kind, sentence, **fields):
    from trainer.failure import Failure, Kind, leave
    leave(Failure(Kind[kind], sentence, **fields), os.environ["TRAINER_ERROR_FILE"])

lock = open(folder / f"lock-{{index}}", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
say(f"ready-{{index}}")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "new").mkdir()
    return tmp_path


@pytest.fixture
def run(folder):
    """Launches workers that run a script, and looks for any that are left."""

    def launch_script(script, workers=2):
        try:
            launch.launch([sys.executable, "-c", PRELUDE + script, str(folder)], str(folder), workers)
        finally:
            assert not alive(folder)
            assert not (folder / "waited in vain").exists()

    return launch_script


@pytest.fixture
def run_elsewhere(folder):
    """Starts a launcher of two workers in a process, and a process group, of its own, and waits for the workers."""
    processes = []

    def start(script):
        code = "import sys; from trainer.workers import launch as l; l.STOP_SECONDS = 0; "
        code += "l.launch(sys.argv[2:], sys.argv[1], 2)"
        command = [sys.executable, "-c", PRELUDE + script, str(folder)]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", code, str(folder), *command],
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return processes[0]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    assert not (folder / "waited in vain").exists()


def alive(folder):
    """The workers that still run."""
    return [path.name for path in folder.glob("lock-*") if is_locked(path)]


def is_locked(path):
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def wait_until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def wait_for(folder, *names):
    wait_until(lambda: all((folder / name).exists() for name in names))


def log_of(folder, index):
    return (folder / f"worker-{index}.log").read_text()


def test_every_worker_knows_all_and_its_own_place(run, folder):
    run('say(f"config-{index}", json.dumps(config))', workers=3)
    configs = [json.loads((folder / f"config-{index}").read_text()) for index in range(3)]
    (cluster,) = {json.dumps(config["cluster"]) for config in configs}
    addresses = json.loads(cluster)["worker"]
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert [config["task"] for config in configs] == [{"type": "worker", "index": index} for index in range(3)]


def test_a_port_is_kept_for_its_worker(run):
    """The worker listens and is heard; a socket that does not share the port cannot bind to it."""
    run("""
import socket
assert os.environ["TF_GRPC_REUSE_PORT"] == "1"
own, first = ((host, int(port)) for host, port in (config["cluster"]["worker"][i].split(":") for i in (index, 0)))
try:
    socket.socket().bind(own)
except OSError:
    pass
else:
    sys.exit("the port could be taken")
if index == 0:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(own)
    server.listen()
    say("listening")
    for _ in range(20):
        server.accept()[0].sendall(b"hello")
else:
    wait_for("listening")
    for _ in range(20):
        assert socket.create_connection(first, timeout=5).recv(5) == b"hello"
""")


def test_a_machine_without_a_port_says_so():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(ReportedError) as error, reserved_ports(2):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert error.value.failure.cause == "Too many open files"


def test_ports_are_unlike():
    with reserved_ports(200) as ports:
        assert len(set(ports)) == 200
    with socket.socket() as free:
        free.bind(("127.0.0.1", ports[0]))


def test_the_rest_of_the_environment_is_inherited(run, folder, monkeypatch):
    monkeypatch.setenv("OF_THE_CALLER", "a value")
    run('say("inherited", os.environ["OF_THE_CALLER"])', workers=1)
    assert (folder / "inherited").read_text() == "a value"


def test_a_worker_finds_our_package_wherever_it_is_and_nothing_in_the_working_directory(run, folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "/of/the/user", ".", str(folder)]))
    monkeypatch.chdir(folder)
    run('say("path", os.environ["PYTHONPATH"])', workers=1)
    home = str(pathlib.Path(launch.__file__).parents[2])
    assert (folder / "path").read_text() == os.pathsep.join([home, "/of/the/user"])


def test_an_installed_package_does_not_come_before_pythons_own_modules(monkeypatch):
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(pathlib.Path(launch.__file__).parents[2])])
    monkeypatch.setenv("PYTHONPATH", "/of/the/user")
    assert launch._python_path() == ["/of/the/user"]


@pytest.mark.parametrize("last", [0, 1])
def test_returns_when_all_have_ended_well(run, folder, last):
    run(f"""
if index == {last}:
    wait_for_the_end_of(1 - index)
    time.sleep(0.3)
    say("done")
""")
    assert (folder / "done").exists()


@pytest.mark.parametrize("bad", [0, 1])
def test_a_failure_stops_the_others_and_is_shown_with_the_end_of_its_log(run, folder, bad):
    with pytest.raises(WorkerError) as error:
        run(f"""
if index == {bad}:
    wait_for(f"ready-{{1 - index}}")
    for line in range(3000):
        print("line", line, file=sys.stderr)
    sys.exit(1)
print("a healthy one")
wait_for("never")
""")
    failure = error.value.failure
    assert (failure.kind, failure.value) == (Kind.INFRASTRUCTURE, 1)
    first, *tail = failure.sentence.splitlines()
    assert f"worker {bad} of 2" in first
    assert str(folder / f"worker-{bad}.log") in first
    assert tail == [f"line {line}" for line in range(2990, 3000)]


KILLED = "os.kill(os.getpid(), signal.SIGKILL)"


def test_one_that_the_system_kills_is_named_with_the_signal(run):
    with pytest.raises(WorkerError) as error:
        run(f"{KILLED} if index == 1 else wait_for('never')", workers=3)
    assert error.value.failure.value == -signal.SIGKILL
    assert "worker 1 of 3 was killed by SIGKILL" in error.value.failure.sentence


@pytest.mark.parametrize(
    ("end", "error", "value"),
    [
        (KILLED, WorkerError, -signal.SIGKILL),
        ("leave('BAD_INPUT', 'images', value='none'); sys.exit(2)", UserError, "none"),
        ("sys.exit(143)", InterruptError, "SIGTERM"),
        ("sys.exit(129)", InterruptError, "SIGHUP"),
        ("sys.exit(7)", WorkerError, 1),
    ],
)
def test_of_several_at_once_the_one_that_cannot_be_a_consequence_is_named(run, monkeypatch, end, error, value):
    first_failure = launch._first_failure

    def look_late(group, signals):
        for worker in group:
            worker.process.wait()
        return first_failure(group, signals)

    monkeypatch.setattr(launch, "_first_failure", look_late)
    with pytest.raises(error) as raised:
        run(f"if index == 1: {end}\nsys.exit(0 if index == 2 else 1)", workers=3)
    assert raised.value.failure.value == value


@pytest.mark.parametrize(
    ("code", "blamed"),
    [(None, 0), (0, 0), (1, 1), (3, 1), (2, 2), (129, 2), (130, 2), (143, 2), (-9, 3), (-15, 3), (137, 3), (139, 3)],
)
def test_a_kill_is_to_blame_before_a_deliberate_end_and_that_before_an_error(code, blamed):
    assert launch.blame(code) == blamed


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "ended with exit code 1"),
        (-9, "was killed by SIGKILL"),
        (137, "was killed by SIGKILL"),
        (-63, "was killed by signal 63"),
    ],
)
def test_how_a_process_ended_is_said_with_the_name_of_the_signal(code, said):
    assert launch.ending(code) == said


@pytest.mark.parametrize("bad", [0, 1])
def test_a_users_mistake_is_that_of_the_launcher(run, bad):
    with pytest.raises(UserError) as error:
        run(f"""
if index == {bad}:
    leave("BAD_INPUT", "batch_size", value=9, valid="at most 8", remedy="Use fewer", cause="the data")
    sys.exit(2)
wait_for("never")
""")
    assert error.value.failure == Failure(Kind.BAD_INPUT, "batch_size", 9, "at most 8", "Use fewer", "the data")


def test_a_failure_that_a_worker_foresaw_is_told_with_its_name(run):
    with pytest.raises(WorkerError) as error:
        run("""
if index == 0:
    leave("INFRASTRUCTURE", "the disk is full", value="/full", remedy="Free some", cause="No space left on device")
    sys.exit(1)
wait_for("never")
""")
    expected = Failure(
        Kind.INFRASTRUCTURE,
        "worker 0 of 2: the disk is full",
        value="/full",
        remedy="Free some",
        cause="No space left on device",
    )
    assert error.value.failure == expected
    assert error.value.exit_code == 1


def test_a_bug_in_a_worker_is_told_with_the_end_of_its_log(run):
    with pytest.raises(WorkerError) as error:
        run("leave('BUG', 'KeyError: 3'); print('Traceback', file=sys.stderr); sys.exit(1)", workers=1)
    failure = error.value.failure
    assert (failure.value, failure.cause) == (1, "KeyError: 3")
    assert failure.sentence.splitlines()[1:] == ["Traceback"]


def test_the_log_and_the_failure_of_an_earlier_run_say_nothing_about_this_one(run, folder):
    (folder / "worker-0.log").write_text("an old line\n")
    leave(Failure(Kind.BAD_INPUT, "an old mistake"), str(folder / "worker-0.error.json"))
    with pytest.raises(WorkerError) as error:
        run("print('a new line'); sys.exit(2)", workers=1)
    assert error.value.failure.sentence.splitlines()[1:] == ["a new line"]
    assert log_of(folder, 0) == "an old line\na new line\n"


def test_after_a_failure_the_others_may_clear_up(run, folder):
    with pytest.raises(WorkerError):
        run("""
if index == 1:
    wait_for("ready-to-stop")
    sys.exit(1)
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), say("cleared"), os._exit(0)))
say("ready-to-stop")
wait_for("never")
""")
    assert (folder / "cleared").exists()


def test_one_that_is_deaf_to_sigterm_is_killed(run, monkeypatch):
    monkeypatch.setattr(launch, "STOP_SECONDS", 0.2)
    with pytest.raises(WorkerError):
        run("""
if index == 0:
    wait_for("deaf")
    sys.exit(1)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("deaf")
wait_for("never")
""")


def test_when_one_is_preempted_the_others_save_undisturbed(run, folder):
    with pytest.raises(InterruptError) as error:
        run("""
signal.signal(signal.SIGTERM, lambda *_: say("disturbed"))
if index == 1:
    wait_for_the_end_of(0)
    time.sleep(0.3)
    say("saved")
sys.exit(143)
""")
    assert error.value.exit_code == 143
    assert (folder / "saved").exists()
    assert not (folder / "disturbed").exists()


def test_when_one_is_preempted_and_another_hangs_it_is_killed(run, monkeypatch):
    monkeypatch.setattr(launch, "SAVE_SECONDS", 0.2)
    monkeypatch.setattr(launch, "STOP_SECONDS", 0.2)
    with pytest.raises(InterruptError):
        run("""
if index == 0:
    wait_for("deaf")
    sys.exit(143)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("deaf")
wait_for("never")
""")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_launcher_lets_all_save_whatever_else_comes(run_elsewhere, folder, number):
    """SIGINT goes to the whole process group, as from a terminal."""
    launcher = run_elsewhere("""
def save(*_):
    say(f"saving-{index}")
    wait_for("second signal sent")
    time.sleep(0.3)
    say(f"saved-{index}")
    os._exit(143)

signal.signal(signal.SIGINT, lambda *_: say("heard SIGINT"))
signal.signal(signal.SIGTERM, save)
say(f"at-work-{index}")
wait_for("never")
""")
    wait_for(folder, "at-work-0", "at-work-1")
    os.killpg(launcher.pid, number)
    wait_for(folder, "saving-0", "saving-1")
    os.killpg(launcher.pid, number)
    (folder / "second signal sent").touch()
    _, errors = launcher.communicate(timeout=LIMIT)
    assert errors.splitlines()[-1].startswith("trainer.errors.InterruptError: ")
    assert number.name in errors.splitlines()[-1]
    assert (folder / "saved-0").exists()
    assert (folder / "saved-1").exists()
    assert not (folder / "heard SIGINT").exists()
    assert not alive(folder)


def test_an_interrupt_kills_who_does_not_stop_and_leaves_the_callers_handlers(run, folder, monkeypatch):
    monkeypatch.setattr(launch, "SAVE_SECONDS", 0.2)
    monkeypatch.setattr(launch, "STOP_SECONDS", 0.2)

    def interrupt():
        wait_for(folder, "deaf-0", "deaf-1")
        os.kill(os.getpid(), signal.SIGTERM)

    before = [signal.getsignal(number) for number in SIGNALS]
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(InterruptError):
        run('signal.signal(signal.SIGTERM, signal.SIG_IGN); say(f"deaf-{index}"); wait_for("never")')
    thread.join()
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("code", [0, 3])
def test_a_launcher_in_another_thread_waits_for_its_workers_whom_the_kernel_lets_live(run, folder, code):
    """The kernel signals a worker when the thread that started it ends."""
    ends = []

    def launch_there():
        try:
            run(f"""
from trainer.workers.launch import follow_parent
follow_parent()
time.sleep(0.3)
say(f"lived-{{index}}")
wait_for(f"lived-{{1 - index}}")
sys.exit({code})
""")
            ends.append(0)
        except WorkerError as error:
            ends.append(error.failure.value)

    thread = threading.Thread(target=launch_there)
    thread.start()
    thread.join()
    assert ends == [code]
    assert (folder / "lived-0").exists()
    assert (folder / "lived-1").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the death of a parent")
def test_workers_follow_a_launcher_that_is_killed(run_elsewhere, folder):
    launcher = run_elsewhere("""
from trainer.workers.launch import follow_parent
signal.signal(signal.SIGTERM, signal.SIG_IGN)
follow_parent()
say(f"follows-{index}")
wait_for("never")
""")
    wait_for(folder, "follows-0", "follows-1")
    assert len(alive(folder)) == 2
    launcher.kill()
    wait_until(lambda: not alive(folder))


@pytest.mark.parametrize(
    ("launchers", "code"),
    [
        ({}, 0),  # none, as in a container
        ({launch.LAUNCHER: str(os.getpid())}, 0),
        pytest.param(
            {launch.LAUNCHER: "999999999"}, -signal.SIGKILL, marks=pytest.mark.skipif("sys.platform != 'linux'")
        ),  # already dead
    ],
)
def test_a_worker_follows_its_own_launcher_only(launchers, code):
    command = [sys.executable, "-c", "from trainer.workers.launch import follow_parent; follow_parent()"]
    assert subprocess.run(command, env=os.environ | launchers).returncode == code


@pytest.fixture
def listen():
    """Calls a function with each line that the launcher logs."""
    listeners = []

    def start(function):
        class Listener(logging.Handler):
            def emit(self, record):
                function(record.getMessage())

        listeners.append(Listener())
        launch.log.addHandler(listeners[0])

    level = launch.log.level
    launch.log.setLevel(logging.INFO)
    yield start
    launch.log.setLevel(level)
    for listener in listeners:
        launch.log.removeHandler(listener)


def test_the_chiefs_progress_is_logged_while_it_runs_and_nothing_else(run, folder, listen):
    heard = []

    def hear(line):
        heard.append(line)
        (folder / f"heard-{line}").touch()

    listen(hear)
    run(r"""
os.write(2, b"noise\n")
print(f"epoch {index}", flush=True)
wait_for("heard-epoch 0")
os.write(1, b"half ")
os.write(1, "a \u00fc".encode())
""")
    assert heard == ["epoch 0", "half a \u00fc"]
    assert sorted(log_of(folder, 0).splitlines()) == ["epoch 0", "half a \u00fc", "noise"]
    assert sorted(log_of(folder, 1).splitlines()) == ["epoch 1", "half a \u00fc", "noise"]


def test_a_launcher_that_fails_itself_leaves_nobody(run, listen):
    def fail(line):
        raise OSError("no space left")

    listen(fail)
    with pytest.raises(OSError, match="no space left"):
        run("""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while not (folder / "never").exists():
    print("epoch 1", flush=True)
""")


def test_output_without_end_neither_blocks_nor_fills_the_memory(run, folder, caplog):
    caplog.set_level("WARNING", launch.log.name)  # or pytest keeps every line
    tracemalloc.start()
    try:
        with pytest.raises(WorkerError) as error:
            run(r"""
for _ in range(40):
    os.write(2, b"e" * 99999 + b"\n")
    os.write(1, b"o" * 70000)
    os.write(1, b"\nline" * 6000)
if index == 0:
    wait_for_the_end_of(1)
    sys.exit(1)
""")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    sizes = [(folder / f"worker-{index}.log").stat().st_size for index in range(2)]
    assert sizes == [40 * (100_000 + 70_000 + 5 * 6000)] * 2
    assert peak < 4e6
    assert len(error.value.failure.sentence) < 2 * launch.TAIL_BYTES


def test_a_line_without_end_does_not_fill_the_memory(run, folder, listen):
    heard = []
    listen(heard.append)
    tracemalloc.start()
    try:
        run(r"os.write(1, b'a' * 9999 + b'\n'); [os.write(1, b'b' * 100_000) for _ in range(200)]", workers=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (folder / "worker-0.log").stat().st_size == 20_010_000
    assert heard == ["a" * launch.LINE_BYTES, "b" * launch.LINE_BYTES]
    assert peak < 4e6


def test_a_chiefs_log_that_cannot_be_written_is_one_message_and_leaves_nobody(run, folder):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(StorageError) as error:
            run("print('x' * 200, flush=True) if index == 0 else None; wait_for('never')")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.failure.value == f"{folder}/worker-0.log"


def test_a_worker_that_cannot_be_started_is_one_message(folder):
    with pytest.raises(WorkerError) as error:
        launch.launch([str(folder / "python")], str(folder), 2)
    assert error.value.failure.value == str(folder / "python")
    assert error.value.failure.cause == "No such file or directory"


def test_a_worker_that_cannot_be_started_leaves_no_other(run, folder, monkeypatch):
    start = subprocess.Popen

    def first_only(*arguments, **options):
        if (folder / "worker-1.log").exists():
            raise BlockingIOError("no more processes")
        process = start(*arguments, **options)
        wait_for(folder, "ready-0")
        return process

    monkeypatch.setattr(subprocess, "Popen", first_only)
    with pytest.raises(WorkerError) as error:
        run('wait_for("never")')
    assert error.value.failure.cause == "no more processes"


def test_the_command_is_the_trainers_worker_on_the_job(monkeypatch):
    calls = []
    monkeypatch.setattr(launch, "launch", lambda *arguments: calls.append(arguments))
    launch.launch_local("job", 3)
    assert calls == [([sys.executable, "-P", "-m", "trainer.workers.worker", "job"], "job", 3)]
