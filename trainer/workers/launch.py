"""Starts one command as several processes of this machine, the workers of a MultiWorkerMirroredStrategy."""

import contextlib
import ctypes
import json
import logging
import os
import pathlib
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import wait

from trainer.errors import InterruptError, ReportedError, StorageError
from trainer.failure import EXIT_CODES, FILE, Failure, Kind, left
from trainer.interrupt import SIGNALS, signals_noted
from trainer.workers.ports import reserved_ports

log = logging.getLogger(__name__)

# (folder of the job, number of workers); returns when all workers have succeeded
Launch = Callable[[str, int], None]

SAVE_SECONDS = 30.0  # for workers to save a checkpoint when the run is stopped
STOP_SECONDS = 5.0  # for workers to exit when one of them has failed
POLL_SECONDS = 0.02  # short, because the failure of one worker soon makes its peers fail
TAIL_LINES, TAIL_BYTES = 10, 16384  # of a log, in an error
LINE_BYTES = 4096  # of a line of the chief's output, in the log

BAD_INPUT, STOPPED = EXIT_CODES[Kind.BAD_INPUT], 128 + signal.SIGTERM  # exit codes of a worker
ERROR_FILE = "TRAINER_ERROR_FILE"  # environment variable of a worker: the file for its failure
LAUNCHER = "TRAINER_LAUNCHER"  # environment variable of a worker: the process that started it
PR_SET_PDEATHSIG = 1  # of Linux's prctl


class WorkerError(ReportedError):
    """The failure of a worker, with its name and either the failure that it wrote or its ending and last log lines."""


def launch_local(job: str, workers: int) -> None:
    """Runs `python -P -m trainer.workers.worker <job>` as `workers` processes on this machine; see `launch`.

    -P keeps Python from importing from the working directory, where a user may have a json.py.
    """
    launch([sys.executable, "-P", "-m", "trainer.workers.worker", job], job, workers)


def launch(command: list[str], folder: str, workers: int) -> None:
    """Runs `command` in `workers` processes that find each other through TF_CONFIG, and waits until all have succeeded.

    The output of worker i is appended to `<folder>/worker-<i>.log`. The standard output of worker 0, the chief, is also
    logged here line by line. PYTHONPATH lets a worker import this package. Signals are forwarded in the main thread
    only. No worker outlives the call.

    Raises:
      UserError: a worker found bad input.
      WorkerError: a worker failed or could not be started; the others were stopped.
      ReportedError: there are no free ports.
      StorageError: the chief's log cannot be written.
      InterruptError: SIGINT, SIGTERM or SIGHUP arrived and was forwarded as SIGTERM, or a worker received one and
        exited with 128 + n. In both cases the workers had time to save a checkpoint.
    """
    group: list[_Worker] = []
    with signals_noted() as signals, reserved_ports(workers) as ports:
        try:
            for index in range(workers):
                group.append(_Worker(command, folder, ports, index))
            failed = _first_failure(group, signals)
            if signals:
                log.info("stopping; the workers have %.0f s to save a checkpoint", SAVE_SECONDS)
                _stop(group, SAVE_SECONDS)
            elif failed and _stop_signal(failed.code):
                _wait(group, SAVE_SECONDS)
        finally:
            _stop(group, STOP_SECONDS)
    if signals:
        raise InterruptError(signals[0])
    if failed:
        raise failed.error()


def follow_parent() -> None:
    """Makes the kernel kill this process, a worker, when its launcher dies; does nothing without a launcher or Linux.

    Only the kernel can: while TensorFlow waits for other workers to appear, no Python code runs. The kernel sends the
    signal when the thread that started the worker ends, and that thread stays in `launch` as long as the worker runs.
    """
    launcher = os.environ.get(LAUNCHER)
    if launcher is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(launcher):  # it died before the call above
        os.kill(os.getpid(), signal.SIGKILL)


class _Worker:
    """A process and its log."""

    def __init__(self, command: list[str], folder: str, ports: list[int], index: int) -> None:
        self.name = f"worker {index} of {len(ports)}"
        self.path = os.path.join(folder, f"worker-{index}.log")
        self._error_file = os.path.join(folder, f"worker-{index}.{FILE}")
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        settings = {
            "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
            "TF_GRPC_REUSE_PORT": "1",
            "PYTHONPATH": os.pathsep.join(_python_path()),
            ERROR_FILE: self._error_file,
            LAUNCHER: str(os.getpid()),
        }
        try:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self._error_file)  # of an earlier start
            self._log = open(self.path, "ab")  # noqa: SIM115
            self._start = self._log.tell()
            self.process = subprocess.Popen(
                command,
                env=os.environ | settings,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if index == 0 else self._log,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C in a terminal reaches the launcher only
            )
        except OSError as error:
            remedy = "Free some memory and processes, and start again"
            raise WorkerError(
                f"{self.name}, {command[0]}, cannot be started", value=command[0], remedy=remedy, cause=error
            ) from error
        self._line = b""

    @property
    def code(self) -> int | None:
        """None while it runs, the exit code, or minus the signal that killed it."""
        return self.process.poll()

    def forward(self, seconds: float) -> bool:
        """Waits up to `seconds` for output of the chief, logs it, and tells whether there was any."""
        pipe = self.process.stdout
        if pipe is None or pipe.closed:
            time.sleep(seconds)
            return False
        if not wait([pipe.fileno()], seconds):
            return False
        chunk = os.read(pipe.fileno(), 65536)
        try:
            self._log.write(chunk)
            self._log.flush()
        except OSError as error:
            raise StorageError("the chief's log", self.path, error) from error
        *lines, self._line = (self._line[:LINE_BYTES] + chunk).split(b"\n")
        if not chunk:
            pipe.close()
            lines = [self._line] if self._line else []
        for line in lines:
            log.info("%s", line[:LINE_BYTES].decode(errors="replace"))
        return bool(chunk)

    def close(self) -> None:
        """Forwards the remaining output of a process that has ended."""
        while self.forward(0.0):
            pass
        self._log.close()

    def error(self) -> ReportedError:
        """Returns the error that explains why the process failed."""
        code = self.process.returncode
        how = f"{ending(code)}; its log {self.path} ends with:"
        return why_failed(self.name, code, left(self._error_file), how, self._tail())

    def _tail(self) -> list[str]:
        with open(self.path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._start, end - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode(errors="replace").splitlines()


def why_failed(name: str, code: int | None, failure: Failure | None, how: str, tail: list[str]) -> ReportedError:
    """Returns the error of the worker `name`, which ended with exit code `code` and wrote `failure`.

    If it wrote none, or a bug, the sentence is `how` it ended and the last lines of its log, `tail`.
    """
    if number := _stop_signal(code):
        return InterruptError(number)
    if failure and failure.kind == Kind.BAD_INPUT:
        return ReportedError.of(failure)
    if failure and failure.kind == Kind.INFRASTRUCTURE:
        fields = {"value": failure.value, "valid": failure.valid, "remedy": failure.remedy, "cause": failure.cause}
        return WorkerError(f"{name}: {failure.sentence}", **fields)
    cause = failure.sentence if failure else ""
    return WorkerError("\n".join([f"{name} {how}", *tail[-TAIL_LINES:]]), value=code, cause=cause)


def ending(code: int) -> str:
    """Describes how a process ended with `code`, which is minus n or 128 + n for signal n."""
    number = -code if code < 0 else code - 128
    if number <= 0:
        return f"ended with exit code {code}"
    names = {known.value: known.name for known in signal.Signals}
    return f"was killed by {names.get(number, f'signal {number}')}"


def blame(code: int | None) -> int:
    """Ranks processes that ended together: an ordinary error may be a consequence of a peer's exit.

    A kill ranks highest, then a deliberate exit (bad input, or a stop signal), then any other error.
    """
    if not code:
        return 0
    if code == BAD_INPUT or _stop_signal(code):
        return 2
    return 3 if code < 0 or code > 128 else 1


def _stop_signal(code: int | None) -> int | None:
    """Returns the signal that stopped a worker with exit code `code`, None if no signal did."""
    return next((number for number in SIGNALS if code == 128 + number), None)


def _python_path() -> list[str]:
    """Returns PYTHONPATH for a worker: this package's folder, then the inherited entries but the working directory.

    A site-packages folder is left out: a worker finds it anyway, and in PYTHONPATH it would hide Python's own modules.
    """
    home = str(pathlib.Path(__file__).absolute().parents[2])
    installed = [*site.getsitepackages(), site.getusersitepackages()]
    inherited = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if not _is_here(entry)]
    return [*([] if home in installed else [home]), *inherited]


def _is_here(entry: str) -> bool:
    with contextlib.suppress(OSError):  # one of the two does not exist
        return os.path.samefile(entry or os.curdir, os.curdir)
    return False


def _first_failure(group: list[_Worker], signals: list[int]) -> _Worker | None:
    """Waits until a worker fails, and returns it; None if all succeed or a signal arrives."""
    codes: list[int | None] = [None]
    while None in codes and not signals:
        codes = [worker.code for worker in group]
        if any(codes):
            return max(group, key=lambda worker: blame(worker.process.returncode))
        group[0].forward(POLL_SECONDS)
    return None


def _wait(group: list[_Worker], seconds: float) -> None:
    """Waits until all have ended, for at most `seconds`."""
    end = time.monotonic() + seconds
    while any(worker.code is None for worker in group) and time.monotonic() < end:
        group[0].forward(POLL_SECONDS)


def _stop(group: list[_Worker], seconds: float) -> None:
    """Sends SIGTERM to all, then SIGKILL after `seconds`, because a worker that waits for its peers ignores SIGTERM."""
    try:
        for worker in group:
            worker.process.terminate()
        _wait(group, seconds)
    finally:
        for worker in group:
            worker.process.kill()
        for worker in group:
            worker.process.wait()
    for worker in group:
        worker.close()
