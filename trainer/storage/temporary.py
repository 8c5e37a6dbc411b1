"""Temporary names beside a path, for a version that is not yet or no longer at the path. Imports no TensorFlow.

A name states the process that uses it, so that a later process recognises the leftovers of a killed one.
"""

import contextlib
import itertools
import os
import re
import socket
from collections.abc import Iterator
from typing import NamedTuple

UNFINISHED, REPLACED = "unfinished", "replaced"  # kinds: a version being written; an old version being replaced
NAME = re.compile(rf"(?P<kind>{UNFINISHED}|{REPLACED})\.(?P<base>.+)\.(?P<host>[^.]+)\.(?P<pid>\d+)\.\d+")

_numbers = itertools.count()
_used: set[str] = set()  # names that this process uses now


class Temporary(NamedTuple):
    """The parts of a temporary name."""

    name: str
    base: str  # name of the path that it belongs to
    kind: str  # UNFINISHED or REPLACED
    host: str
    pid: int

    @property
    def is_here(self) -> bool:
        """Whether a process of this host made it."""
        return self.host == _host()

    @property
    def is_alive(self) -> bool:
        """Whether a living process of this host made it."""
        if not self.is_here:
            return False
        if self.pid == os.getpid():  # possibly of an earlier process with this number, as in containers
            return self.name in _used
        try:
            os.kill(self.pid, 0)
        except OSError as error:
            return isinstance(error, PermissionError)  # a process of another user
        return True


@contextlib.contextmanager
def temporary(path: str, kind: str) -> Iterator[str]:
    """Yields a path beside `path` that no other caller uses, in this process or another."""
    folder, base = os.path.split(path.rstrip("/"))
    name = f"{kind}.{base}.{_host()}.{os.getpid()}.{next(_numbers)}"  # the pattern `base*` does not match it
    _used.add(name)
    try:
        yield os.path.join(folder, name)
    finally:
        _used.discard(name)


def parse(names: list[str]) -> list[Temporary]:
    """Parses the temporary names among `names`, which have no folder."""
    found = (NAME.fullmatch(name.rstrip("/")) for name in names)
    return [Temporary(m[0], m["base"], m["kind"], m["host"], int(m["pid"])) for m in found if m]


def _host() -> str:
    return re.sub(r"[^\w-]", "_", socket.gethostname()) or "_"
