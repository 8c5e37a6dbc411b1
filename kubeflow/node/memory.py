"""The memory of a container, by version 2 of Linux's control groups."""

import pathlib

FOLDER = pathlib.Path("/sys/fs/cgroup")
RESERVE = 64 * 2**20  # bytes below the limit: some polls' worth of allocations


class Memory:
    """Tells when a process has used more memory than the container may.

    Kubernetes has the kernel kill all processes of a container that exceeds its limit, and Kubeflow does not try such a
    task again. A supervisor that kills the large process first survives, and may start it again.
    """

    def __init__(self) -> None:
        self._kills, self._seen = _kills(), False

    def is_short(self) -> bool:
        """Whether less than RESERVE is left below the limit, without what the kernel can drop: pages of files."""
        try:
            limit = int((FOLDER / "memory.max").read_text())
            used = int((FOLDER / "memory.current").read_text())
            pages = dict(line.split() for line in (FOLDER / "memory.stat").read_text().splitlines())
            used -= int(pages["active_file"]) + int(pages["inactive_file"])
        except (OSError, ValueError, KeyError):  # no limit, or no control group of this kind
            return False
        self._seen = self._seen or used > limit - RESERVE
        return used > limit - RESERVE

    def was_short(self) -> bool:
        """Whether `is_short` was true once, or the kernel has killed a process of this container since the start."""
        return self._seen or _kills() > self._kills


def _kills() -> int:
    """Returns how many processes of this container the kernel has killed for want of memory."""
    try:
        lines = (FOLDER / "memory.events").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    except (OSError, ValueError, StopIteration):
        return 0
