"""Runs a command in a new process and measures its resources."""

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

RSS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10  # the unit of ru_maxrss differs


class Finished(NamedTuple):
    """The resources and the output of a command that succeeded."""

    seconds: float
    cpu_seconds: float  # of all threads and children
    peak_mb: float  # largest resident set
    lines: list[tuple[float, str]]  # seconds since the start, and a line of its output


def run_module(*arguments: str) -> Finished:
    """Runs `python -m ARGUMENTS...`.

    A small process forks the command, because ru_maxrss starts at the size of the forking process.

    Raises:
      RuntimeError: the command failed.
    """
    start = time.monotonic()
    with tempfile.NamedTemporaryFile("r") as usage:
        command = [sys.executable, "-m", __name__, usage.name, sys.executable, "-m", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            lines = [(time.monotonic() - start, line.rstrip("\n")) for line in process.stdout or ()]
        if process.returncode:
            raise RuntimeError(
                "\n".join([f"{' '.join(arguments)}: exit code {process.returncode}", *(t for _, t in lines)])
            )
        return Finished(**json.load(usage), lines=lines)


def _main(usage_file: str, *command: str) -> int:
    start = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    with open(usage_file, "w") as file:
        seconds, cpu_seconds = time.monotonic() - start, usage.ru_utime + usage.ru_stime
        json.dump({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": usage.ru_maxrss / RSS_PER_MB}, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
