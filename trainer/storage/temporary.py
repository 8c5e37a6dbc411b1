"""Names beside a path for what is not at the path yet, or no longer. Imports no TensorFlow.

A name says which process made it, so that a later process can tell what a killed one left behind.
"""

import contextlib
import itertools
import os
import re
import socket
from collections.abc import Iterator
from typing import NamedTuple

UNFINISHED, REPLACED = "unfinished", "replaced"  # a version that is being written; one that a new version replaces
NAME = re.compile(rf"(?P<kind>{UNFINISHED}|{REPLACED})\.(?P<base>.+)\.(?P<host>[^.]+)\.(?P<pid>\d+)\.\d+")

_numbers = itertools.count()
_used: set[str] = set()  # names that this process is using


class Temporary(NamedTuple):
    """What a temporary name says."""

    name: str
    base: str  # the name of the path that it belongs to
    kind: str  # UNFINISHED or REPLACED
    host: str
    pid: int

    @property
    def is_here(self) -> bool:
        """Whether a process of this host made it."""
        return self.host == _host()

    @property
    def is_alive(self) -> bool:
        """Whether the process that made it is known to live: one of this host."""
        if not self.is_here:
            return False
        if self.pid == os.getpid():  # or an earlier process of the same number, as each container's first is
            return self.name in _used
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True


@contextlib.contextmanager
def temporary(path: str, kind: str) -> Iterator[str]:
    """Yields a path beside `path` that no other process uses, nor another caller in this one."""
    folder, base = os.path.split(path.rstrip("/"))
    name = f"{kind}.{base}.{_host()}.{os.getpid()}.{next(_numbers)}"  # `base*` finds none of them
    _used.add(name)
    try:
        yield os.path.join(folder, name)
    finally:
        _used.discard(name)


def parse(names: list[str]) -> list[Temporary]:
    """The temporary ones of `names`, without their folder."""
    found = (NAME.fullmatch(name.rstrip("/")) for name in names)
    return [Temporary(m[0], m["base"], m["kind"], m["host"], int(m["pid"])) for m in found if m]


def _host() -> str:
    return re.sub(r"[^\w-]", "_", socket.gethostname()) or "_"
