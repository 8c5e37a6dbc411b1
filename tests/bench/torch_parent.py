"""Contestants in a child process, which may use another interpreter."""

import contextlib
import functools
import json
import subprocess
from collections.abc import Iterator, Sequence

from tests.bench.rounds import Contestant


@contextlib.contextmanager
def torch_contestants(python: str, batch_sizes: Sequence[int]) -> Iterator[list[Contestant]]:
    """Yields the PyTorch baselines of the interpreter `python`; prints a line and yields none if it lacks the packages.

    The child ends when its input ends.
    """
    if missing := lacks_packages(python):
        print(missing)
        yield []
        return
    command = [python, "-m", "tests.bench.torch_child", *map(str, batch_sizes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def ask(number: int) -> float:
            child.stdin.write(f"{number}\n")
            return float(child.stdout.readline())

        names = json.loads(child.stdout.readline())
        yield [Contestant(name, size, functools.partial(ask, i)) for i, (name, size) in enumerate(names)]


def lacks_packages(python: str) -> str:
    """Returns why the interpreter `python` leaves out PyTorch and pythae; empty if it has both."""
    probe = subprocess.run([python, "-c", "import torch, pythae.models"], capture_output=True, text=True)
    return (
        f"PyTorch and pythae are left out; {python}: {probe.stderr.strip().splitlines()[-1]}"
        if probe.returncode
        else ""
    )
