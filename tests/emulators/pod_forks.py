"""The processes of emulated pods, forked from one that has imported all that they need: a start costs no second.

TensorFlow must not compute before a fork, so that process only imports. It is this file, run as a program.
"""

import contextlib
import importlib
import json
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import types
from typing import NoReturn

from forked import finish

ROOT = pathlib.Path(__file__).parents[2]
READY = b"ready\n"
HEAVY = (
    *("kubeflow.node.work", "kubeflow.node.process", "kubeflow.node.attempt", "kubeflow.node.supervisor"),
    *("kubeflow.doctor.inside", "trainer.workers.job", "kubernetes.client", "kfp.dsl"),
)
MESSAGE = "TEST_TERMINATION_LOG"  # environment variable: the file in place of the container's /dev/termination-log
CONSTANTS = {  # pauses that a test need not wait for
    "kubeflow.workers.worker_set": {"SETTLE_SECONDS": 1.0, "JOB_SECONDS": 1.0},
    "kubeflow.workers.launcher": {"GONE_SECONDS": 0.2},
}


class Pods:
    """Starts processes."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._address = str(folder / "pods.socket")
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self._log = (folder / "pods.log").open("wb")
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, self._address],
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"},
        )

    def start(self, command: list[str], environment: dict[str, str], output: int) -> "Process":
        """Starts `python ...`, whose output goes to the file `output`, in a session of its own."""
        if self._server.stdout:
            assert self._server.stdout.readline() == READY, (pathlib.Path(self._log.name)).read_text()
            self._server.stdout.close()
            self._server.stdout = None
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(self._address)
        socket.send_fds(peer, [json.dumps([command, environment]).encode() + b"\n"], [output])
        return Process(peer)

    def close(self) -> None:
        """Ends the process from which pods are forked."""
        self._server.kill()
        self._server.wait()
        self._log.close()


class Process:
    """A process in another session, which another process waits for."""

    def __init__(self, peer: socket.socket) -> None:
        self._lines = peer.makefile("r")
        self.pid = int(self._lines.readline())

    def wait(self) -> int:
        """Returns the exit code, or 128 + n for signal n."""
        code = int(self._lines.readline())
        return 128 - code if code < 0 else code

    def send(self, number: int) -> None:
        """Sends a signal to all processes of the session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class Child:
    """Stands in for `subprocess.Popen` in a process that has only imported."""

    def __init__(self, command: list[str], env: dict[str, str], start_new_session: bool = False, **_: object) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            if start_new_session:
                os.setsid()
            _become(command, env)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    """Runs `python -P -m MODULE ...` or `python -P -c PROGRAM ...` in this process, and ends it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    logging.root.handlers.clear()  # of the imports
    _patch()
    finish(command[2:])  # without the interpreter and -P


def _patch() -> None:
    """Puts the container's files where this process finds them, and shortens what waits for the clock."""
    for module in list(sys.modules.values()):
        if getattr(module, "TERMINATION_LOG", None):
            module.TERMINATION_LOG = os.environ.get(MESSAGE, "/dev/termination-log")
    kube_config = sys.modules["kubernetes.config.kube_config"]  # which has read the environment already
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = os.environ.get("KUBECONFIG", "/no/config")
    for name, values in CONSTANTS.items():
        for constant, value in values.items():
            assert hasattr(sys.modules[name], constant), constant
            setattr(sys.modules[name], constant, value)
    supervised = types.SimpleNamespace(**{**vars(subprocess), "Popen": Child})
    sys.modules["kubeflow.node.process"].subprocess = supervised


def serve(address: str) -> None:
    """Forks a process for each connection, and answers with its id and, at its end, with its exit code."""
    for name in HEAVY:
        importlib.import_module(name)
    server, peers = socket.socket(socket.AF_UNIX), {}
    server.bind(address)
    server.listen()
    server.settimeout(0.02)
    os.write(1, READY)
    while True:
        with contextlib.suppress(TimeoutError):
            peer, _ = server.accept()
            peer.setblocking(True)
            pid = _fork(server, peer)
            peers[pid] = peer
            peer.sendall(b"%d\n" % pid)
        while peers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            with peers.pop(pid) as peer:
                peer.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _fork(server: socket.socket, peer: socket.socket) -> int:
    text, (output,), _, _ = socket.recv_fds(peer, 1 << 20, 1)
    while not text.endswith(b"\n"):
        text += peer.recv(1 << 20)
    command, environment = json.loads(text)
    pid = os.fork()
    if not pid:
        os.setsid()
        server.close()
        for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
            os.dup2(file, number)
        _become(command, environment)
    os.close(output)
    return pid


if __name__ == "__main__":
    serve(sys.argv[1])
