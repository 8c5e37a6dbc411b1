"""Python programs in processes that are forked from one that has imported TensorFlow, which saves each four seconds.

TensorFlow must not compute before a fork, so that process only imports. It is this file, run as a program: it reads a
line of JSON for each program, and writes the exit code when that has ended.
"""

import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from typing import NoReturn

ROOT = pathlib.Path(__file__).parents[1]


class Forks:
    """The process that forks."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def run(self, program: str, *arguments: str, **environment: str) -> tuple[int, str]:
        """Runs `python -c program arguments`; returns its exit code, or minus the signal, and its output."""
        with tempfile.TemporaryDirectory() as folder:
            output = pathlib.Path(folder, "output")
            self._server.stdin.write(json.dumps([program, arguments, environment, str(output)]) + "\n")
            self._server.stdin.flush()
            return int(self._server.stdout.readline()), output.read_text(errors="replace")

    def close(self) -> None:
        """Ends the process."""
        self._server.kill()
        self._server.communicate()


class ForkedProcess:
    """Stands in for `subprocess.Popen` of a program of Python in a process that has only imported."""

    def __init__(self, command, env, stdin, stdout, stderr, start_new_session) -> None:
        self.returncode, self.stdout = None, None
        read, write = os.pipe() if stdout == subprocess.PIPE else (None, stdout.fileno())
        self.pid = os.fork()
        if not self.pid:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the launcher handles them
                signal.signal(number, signal.SIG_DFL)
            os.environ.clear()
            os.environ.update(env)
            become(command[1:], write, stderr.fileno())
        if read is not None:
            os.close(write)
            self.stdout = os.fdopen(read, "rb", buffering=0)

    def poll(self) -> int | None:
        return self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        return self._wait(0)

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _wait(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def become(command: list[str], stdout: int, stderr: int) -> NoReturn:
    """Runs `python COMMAND` in this process, with these outputs, and ends it."""
    for descriptor, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, stdout), (2, stderr)):
        os.dup2(file, descriptor)
    finish(command)


def finish(command: list[str]) -> NoReturn:
    """Runs `python COMMAND`, which starts with `-c PROGRAM` or `-m MODULE`, in this process, and ends it."""
    kind, program, *arguments = command
    sys.argv = [kind if kind == "-c" else program, *arguments]
    code: object = 1
    try:
        if kind == "-c":
            exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def serve() -> None:
    """Forks a process for each line of the standard input."""
    import trainer.__main__
    import trainer.export
    import trainer.workers.job
    import trainer.workers.worker  # noqa: F401

    for line in sys.stdin:
        program, arguments, environment, output = json.loads(line)
        pid = os.fork()
        if not pid:
            os.environ.update(environment)
            file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            become(["-c", program, *arguments], file, file)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
