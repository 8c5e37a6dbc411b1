"""Whether the SQLite file of ML Metadata is sound."""

import os
import sqlite3

from pipeline.doctor.finding import Finding, State
from pipeline.state.sqlite import fault, is_locked

CHECK = "database"


def database(path: str) -> Finding:
    """Reads every page of the file, unless another process writes to it."""
    if not os.path.exists(path):
        return Finding(CHECK, State.OK, f"{path} is not there yet; the first run makes it")
    remedy = "Restore a copy, or move it and the artifacts beside it away to start anew"
    try:
        if is_locked(path):
            return Finding(CHECK, State.UNKNOWN, f"{path} is locked by another process", "Check again later")
    except sqlite3.DatabaseError as error:
        return Finding(CHECK, State.WRONG, f"{path} cannot be used: {error}", remedy)
    if what := fault(path):
        return Finding(CHECK, State.WRONG, f"{path} is damaged: {what}", remedy)
    return Finding(CHECK, State.OK, f"{path} is sound, {os.path.getsize(path) / 1e6:.1f} MB")
