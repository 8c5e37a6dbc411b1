"""Prism, Beam's portable runner in Go, with a pool of Python workers beside it: an engine of several processes."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from apache_beam.version import __version__ as VERSION  # noqa: N812

PRISM = "VAEIAF_PRISM"  # environment variable: path of the program
BUILD = "VAEIAF_BUILD_PRISM"  # environment variable: whether to build it where it is missing
PACKAGE = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{VERSION}"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vaeiaf" / f"prism-{VERSION}"


def binary() -> str | None:
    """Returns the path of the program: the given one, the installed one, or one that Go builds; None if there is none.

    Only `make test-beam` builds, in one to five minutes, and keeps the 66 MB in `CACHE`.
    """
    if found := os.environ.get(PRISM) or shutil.which("prism"):
        return found
    if not os.environ.get(BUILD):
        return None
    built = CACHE / "prism"
    if not built.exists() and shutil.which("go"):
        print(f"building {PACKAGE} into {CACHE}", file=sys.stderr)
        subprocess.run(["go", "install", PACKAGE], check=False, env={**os.environ, "GOBIN": str(CACHE)})
    return str(built) if built.exists() else None


@contextlib.contextmanager
def engine(prism: str, folder: pathlib.Path) -> Iterator[list[str]]:
    """Runs Prism and a pool of workers; yields Beam's arguments. Their output goes to files in `folder`."""
    job, pool = free_port(), free_port()
    python = os.path.dirname(sys.executable)
    environment = {**os.environ, "PATH": f"{python}:{os.environ['PATH']}", "TMPDIR": str(folder)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    commands = {
        "prism": [prism, f"-job_port={job}", "-serve_http=false"],
        "pool": [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={pool}"],
    }
    with contextlib.ExitStack() as running:
        for name, command in commands.items():
            log = running.enter_context(open(folder / f"{name}.log", "w"))
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            running.callback(stop, process)
        for port in (job, pool):
            wait_for(port)
        yield [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{job}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool}",
        ]


def stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def wait_for(port: int) -> None:
    """Waits until something listens on the port."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("localhost", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
