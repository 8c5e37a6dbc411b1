"""Runs in forked processes: Python, TensorFlow and TFX are imported once, in the process that forks.

TensorFlow must not compute before a fork, so that process only imports.
"""

import contextlib
import ctypes
import importlib
import os
import pathlib
import pickle
import random
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

PR_SET_PDEATHSIG = 1  # Linux, for prctl(2)
POLL_SECONDS = 0.002  # some nodes take a tenth of a second
IMPORTS = (
    "pipeline.cli",
    "pipeline.local",
    "kubeflow.node.work",
    "kubeflow.run_node",
    "components.train.tuner_fn",
    "components.train.run_fn",
    "tfx.components.evaluator.executor",
    "tfx.components.statistics_gen.executor",
    "tfx.components.trainer.executor",
    "tfx.components.transform.executor",
    "tfx.components.tuner.executor",
    "tensorflow_model_analysis",
    "tensorflow_datasets",
    "apache_beam.runners.portability.fn_api_runner",
    "scipy.stats",
    "matplotlib.pyplot",
    "PIL.Image",
)
# The nodes in the order of a run, as they begin their lines on the console.
NODES = (
    "ImageExampleGen",
    "LastBlessedModel",
    "Schema",
    "StatisticsGen",
    "UnitsCheck",
    "StrictExampleValidator",
    "Transform",
    "Tuner",
    "Trainer",
    "ServingCheck",
    "Evaluator",
    "AtomicPusher",
    "Report",
)
_LINE = re.compile(rf"^({'|'.join(NODES)})\b", re.MULTILINE)


def import_all() -> None:
    """Imports the modules of a run."""
    for name in IMPORTS:
        importlib.import_module(name)


class Run:
    """A forked process, with its console in a file, and its end."""

    def __init__(self, pid: int, console: pathlib.Path) -> None:
        self.pid, self.path = pid, console
        self.code: int | None = None  # exit code, or minus the signal; None while it runs or if it hangs
        self.hung = False

    @property
    def console(self) -> str:
        """Returns the console so far."""
        return self.path.read_text(errors="replace")

    def node(self) -> str | None:
        """Returns the node that is running, or ran last."""
        found = _LINE.findall(self.console)
        return found[-1] if found else None

    def ended(self) -> bool:
        """Returns whether the process has ended."""
        if self.code is None and not self.hung:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait_for_node(self, name: str, seconds: float) -> bool:
        """Waits for the start of the node `name` or a later one; returns False if the run ends or hangs first."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.node()
            if now is not None and NODES.index(now) >= NODES.index(name):
                return True
            if self.ended():
                return False
            time.sleep(POLL_SECONDS)
        return False

    def wait_in_node(self, seconds: float) -> None:
        """Waits `seconds`, or until the current node ends."""
        end, node = time.monotonic() + seconds, self.node()
        while time.monotonic() < end and self.node() == node and not self.ended():
            time.sleep(POLL_SECONDS)

    def wait(self, seconds: float) -> None:
        """Waits for the end; kills a run that takes longer, and counts it as hung."""
        end = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > end:
                self.kill()
                self.code, self.hung = None, True
                return
            time.sleep(0.01)

    def workers(self) -> list[int]:
        """Returns the process ids of its workers."""
        return [pid for pid in descendants(self.pid) if b"trainer.workers.worker" in _command(pid)]

    def kill(self, victim: str = "all", rng: random.Random | None = None) -> str:
        """Kills the run, a worker or all at once, and returns which; without workers, the run.

        Waits for the end of all unless the victim is a worker.
        """
        workers = self.workers()
        if victim == "worker" and workers and rng:
            _kill(rng.choice(workers))
            return "worker"
        whole = descendants(self.pid)
        _kill(self.pid)
        if victim == "all":
            for pid in whole:
                _kill(pid)
        if self.code is None:
            _, status = os.waitpid(self.pid, 0)
            self.code = os.waitstatus_to_exitcode(status)
        if not gone(whole, 20.0):
            self.hung = True
            for pid in whole:
                _kill(pid)
        return "all" if victim == "all" and workers else "run"


def start(main: Callable[[], int], console: pathlib.Path, environment: Mapping[str, str], folder: pathlib.Path) -> Run:
    """Forks a process that runs `main` in a new session, with its temporary files in `folder`."""
    sys.stdout.flush()
    sys.stderr.flush()
    console.touch()
    pid = os.fork()
    if pid:
        return Run(pid, console)
    code = 1
    try:
        _become(console, environment, folder)
        code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        threading._shutdown()  # type: ignore[attr-defined]  # as at Python's exit; a live thread would hang it
        os._exit(code)


def die_with_parent() -> None:
    """Makes the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _become(console: pathlib.Path, environment: Mapping[str, str], folder: pathlib.Path) -> None:
    """Sets up the process as a shell does."""
    os.setsid()
    die_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    output = os.open(console, os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, file in ((0, nothing), (1, output), (2, output)):
        os.dup2(file, descriptor)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.update(environment, TMPDIR=str(folder))
    tempfile.tempdir = None
    folder.mkdir(parents=True, exist_ok=True)


def in_child(function: Callable[..., Any], *arguments: Any, seconds: float = 120.0) -> Any:
    """Returns the result of `function` in a forked process.

    Raises:
      RuntimeError: it raised, crashed or took too long; the message has the end of its console.
    """
    with tempfile.TemporaryDirectory() as name:
        result, folder = pathlib.Path(name, "result"), pathlib.Path(name)

        def main() -> int:
            result.write_bytes(pickle.dumps(function(*arguments)))
            return 0

        run = start(main, folder / "console", {}, folder / "tmp")
        run.wait(seconds)
        if run.code:
            raise RuntimeError(f"ended with {run.code}: {run.console[-500:]}")
        if run.hung:
            raise RuntimeError(f"took longer than {seconds:.0f} s")
        return pickle.loads(result.read_bytes())


def descendants(pid: int) -> list[int]:
    """Returns the process ids of all descendants."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = pathlib.Path("/proc", name, "stat").read_text()
            except OSError:  # it has ended
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(name))
    found, waiting = [], [pid]
    while waiting:
        waiting += (new := children.get(waiting.pop(), []))
        found += new
    return found


def gone(pids: list[int], seconds: float) -> bool:
    """Waits up to `seconds`; returns whether all have ended."""
    end = time.monotonic() + seconds
    while any(_command(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _command(pid: int) -> bytes:
    """Returns the command line, which is empty if the process has ended."""
    try:
        return pathlib.Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return b""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
