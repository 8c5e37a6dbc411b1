"""Whether this machine, or this container, has memory enough for a run."""

import os
import pathlib

from pipeline.doctor.finding import Finding, State

CHECK = "memory"
LEAST = 4e9  # bytes, for TFX, Beam and TensorFlow in one process
LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")  # of a container


def memory() -> Finding:
    """Compares the memory with what a run needs."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    where = "this machine"
    if (limit := _limit()) and limit < total:
        total, where = limit, "this container"
    sentence = f"{where} has {total / 1e9:.1f} GB and {os.cpu_count()} cores"
    if total < LEAST:
        remedy = f"Give it {LEAST / 1e9:.0f} GB; a smaller batch_size needs a little less"
        return Finding(CHECK, State.WRONG, f"{sentence}, and a run needs {LEAST / 1e9:.0f} GB", remedy)
    return Finding(CHECK, State.OK, sentence)


def _limit() -> int | None:
    try:
        return int(LIMIT.read_text())
    except (OSError, ValueError):  # no container, or no limit
        return None
