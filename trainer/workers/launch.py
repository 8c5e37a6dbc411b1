"""One command as several processes of this machine: the workers of a tf.distribute.MultiWorkerMirroredStrategy."""

import contextlib
import ctypes
import json
import logging
import os
import pathlib
import signal
import site
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait

from trainer.errors import InterruptError, ReportedError, StorageError, UserError
from trainer.failure import FILE, Failure, Kind, left
from trainer.interrupt import SIGNALS, signals_noted

log = logging.getLogger(__name__)

# (folder of the job, number of workers) -> returns when all have ended well
Launch = Callable[[str, int], None]

SAVE_SECONDS = 30.0  # that workers get for a checkpoint when the run is told to stop
STOP_SECONDS = 5.0  # that they get when one of them has failed
POLL_SECONDS = 0.02  # short, because a worker's death soon makes the others fail too
TAIL_LINES, TAIL_BYTES = 10, 16384  # of a log, in an error
LINE_BYTES = 4096  # of one line, passed on

FAILED, BAD_INPUT, STOPPED = 1, 2, 128 + signal.SIGTERM  # exit codes of a worker
ERROR_FILE = "TRAINER_ERROR_FILE"  # environment variable of a worker: where it leaves its failure
LAUNCHER = "TRAINER_LAUNCHER"  # environment variable of a worker: the process that started it
PR_SET_PDEATHSIG = 1  # of Linux's prctl
_SIGNALS = {number.value: number.name for number in signal.Signals}


class WorkerError(ReportedError):
    """A worker failed: its name and its failure, or how it ended, where its log is and the log's last lines."""


def launch_local(job: str, workers: int) -> None:
    """Runs `python -P -m trainer.workers.worker <job>` as `workers` processes on this machine; see `launch`.

    -P keeps Python from importing out of the working directory, where a user may have a json.py.
    """
    launch([sys.executable, "-P", "-m", "trainer.workers.worker", job], job, workers)


def launch(command: list[str], folder: str, workers: int) -> None:
    """Runs `command` in `workers` processes that know each other by TF_CONFIG, and returns when all have ended well.

    Worker i's output is appended to `<folder>/worker-<i>.log`; the standard output of worker 0, the chief, is also
    logged here, line by line. PYTHONPATH lets a worker import the package that this process runs. Signals are passed on
    in the main thread only. Whatever happens, no worker outlives the call.

    Raises:
      UserError: less than one worker, or a worker found bad input.
      WorkerError: a worker failed or could not be started; the others were stopped.
      StorageError: the log of the chief cannot be written.
      InterruptError: SIGINT, SIGTERM or SIGHUP came, and was passed on as SIGTERM; or one of them came to a worker,
        which ended with 128 + n. Either way the workers got the time to save a checkpoint.
    """
    if workers < 1:
        raise UserError("workers", value=workers, valid="at least 1")
    group: list[_Worker] = []
    with signals_noted() as signals, _ports(workers) as ports:
        try:
            for index in range(workers):
                group.append(_Worker(command, folder, ports, index))
            failed = _first_failure(group, signals)
            if signals:
                log.info("stopping; the workers have %.0f s to save what they have", SAVE_SECONDS)
                _stop(group, SAVE_SECONDS)
            elif failed and _signal_of(failed.code):
                _wait(group, SAVE_SECONDS)
        finally:
            _stop(group, STOP_SECONDS)
    if signals:
        raise InterruptError(signals[0])
    if failed:
        raise failed.error()


def follow_parent() -> None:
    """Has the kernel kill this process, a worker, when its launcher dies. Does nothing without a launcher or Linux.

    It takes the kernel: while TensorFlow waits for other workers to appear, it lets no Python code run. The kernel
    sends the signal when the thread that started the worker ends, which stays in `launch` as long as the worker runs.
    """
    launcher = os.environ.get(LAUNCHER)
    if launcher is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(launcher):  # it died before it could be followed
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
            with contextlib.suppress(FileNotFoundError):  # that of an earlier start
                os.remove(self._error_file)
            self._log = open(self.path, "ab")  # noqa: SIM115
            self._start = self._log.tell()
            self.process = subprocess.Popen(
                command,
                env=os.environ | settings,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if index == 0 else self._log,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C in a terminal goes to the launcher only
            )
        except OSError as error:
            raise WorkerError(f"{self.name} cannot be started: {error}") from error
        self._line = b""

    @property
    def code(self) -> int | None:
        """None while it runs, the exit code, or minus the signal that killed it."""
        return self.process.poll()

    def hand_on(self, seconds: float) -> bool:
        """Waits up to `seconds` for output that the launcher has to log, a chief's, and says whether there was any."""
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
            raise StorageError("what the chief says", self.path, error) from error
        *lines, self._line = (self._line[:LINE_BYTES] + chunk).split(b"\n")
        if not chunk:
            pipe.close()
            lines = [self._line] if self._line else []
        for line in lines:
            log.info("%s", line[:LINE_BYTES].decode(errors="replace"))
        return bool(chunk)

    def close(self) -> None:
        """Hands on what a process that has ended left behind."""
        while self.hand_on(0.0):
            pass
        self._log.close()

    def error(self) -> ReportedError:
        """Why it failed."""
        code, how = self.code, f"ended with exit code {self.code}"
        if code is not None and code < 0:
            how = f"was killed by {_SIGNALS.get(-code, f'signal {-code}')}"
        how = f"{how}; its log is {self.path}, and ends:"
        return why_failed(self.name, code, left(self._error_file), how, self._tail())

    def _tail(self) -> list[str]:
        with open(self.path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._start, end - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode(errors="replace").splitlines()


def why_failed(name: str, code: int | None, failure: Failure | None, how: str, tail: list[str]) -> ReportedError:
    """The error of the worker `name`, which ended with `code` and left `failure`.

    Without a failure that it foresaw, the sentence is `how` it ended, with the last lines of its log, `tail`.
    """
    if number := _signal_of(code):
        return InterruptError(number)
    if failure and failure.kind == Kind.BAD_INPUT:
        return ReportedError.of(failure)
    if failure and failure.kind == Kind.INFRASTRUCTURE:
        fields = {"value": failure.value, "valid": failure.valid, "remedy": failure.remedy, "cause": failure.cause}
        return WorkerError(f"{name}: {failure.sentence}", **fields)
    cause = failure.sentence if failure else ""
    return WorkerError("\n".join([f"{name} {how}", *tail[-TAIL_LINES:]]), value=code, cause=cause)


def _signal_of(code: int | None) -> int | None:
    """The signal that stopped a worker which ended with `code`; None if that is not how it ended."""
    return next((number for number in SIGNALS if code == 128 + number), None)


def _python_path() -> list[str]:
    """PYTHONPATH of a worker: the folder of this package, then the inherited entries without the working directory.

    A site-packages folder is left out: a worker finds it by itself, and here it would hide Python's own modules.
    """
    home = str(pathlib.Path(__file__).absolute().parents[2])
    installed = [*site.getsitepackages(), site.getusersitepackages()]
    inherited = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if not _is_here(entry)]
    return [*([] if home in installed else [home]), *inherited]


def _is_here(entry: str) -> bool:
    with contextlib.suppress(OSError):  # neither need exist
        return os.path.samefile(entry or os.curdir, os.curdir)
    return False


def _first_failure(group: list[_Worker], signals: list[int]) -> _Worker | None:
    """Waits for a worker to fail, and returns it; None if all have ended well, or a signal came."""
    codes: list[int | None] = [None]
    while None in codes and not signals:
        codes = [worker.code for worker in group]
        if any(codes):
            return max(group, key=lambda worker: _blame(worker.process.returncode))
        group[0].hand_on(POLL_SECONDS)
    return None


def _blame(code: int | None) -> int:
    """Orders what ended within one poll: an error may come of another's end; a signal or an end by choice does not."""
    if not code:
        return 0
    return 3 if code < 0 else 2 if code == BAD_INPUT or _signal_of(code) else 1


def _wait(group: list[_Worker], seconds: float) -> None:
    """Until all have ended, but no longer than `seconds`."""
    end = time.monotonic() + seconds
    while any(worker.code is None for worker in group) and time.monotonic() < end:
        group[0].hand_on(POLL_SECONDS)


def _stop(group: list[_Worker], seconds: float) -> None:
    """Asks all to end, and kills those that have not after `seconds`: one that waits for others cannot hear it."""
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


@contextlib.contextmanager
def _ports(count: int) -> Iterator[list[int]]:
    """Free ports, kept free for the workers.

    One that was only found free could be anybody's by the time TensorFlow, seconds later, listens on it. So a socket
    that does not listen holds it, ready to share with sockets of this user that ask; TF_GRPC_REUSE_PORT lets TF ask.
    """
    with contextlib.ExitStack() as stack:
        try:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for held in sockets:
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                held.bind(("127.0.0.1", 0))
        except OSError as error:
            raise WorkerError(f"no ports for {count} workers: {error}") from error
        yield [held.getsockname()[1] for held in sockets]
