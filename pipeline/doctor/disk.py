"""Whether the state directory and the temporary folder can be written, and have space."""

import os
import shutil
import tempfile

from pipeline.doctor.finding import Finding, State
from trainer.storage.lock import is_held

LEAST = 1e9  # bytes; a first run on CIFAR-10 writes a third of that


def state_directory(root: str) -> Finding:
    """Writes to the state directory, or looks at the folder that it will be made in."""
    if is_held(os.path.join(root, "lock")):
        return _space("state", root, f"{root} is in use by a run")
    if not os.path.isdir(root):
        parent = root
        while not os.path.exists(parent):
            parent = os.path.dirname(parent)
        if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
            remedy = "Choose another --root"
            return Finding("state", State.WRONG, f"{root} cannot be made: {parent} is not a folder to write to", remedy)
        return _space("state", parent, f"{root} is not there yet; the first run makes it")
    return _written("state", root) or _space("state", root, f"{root} can be written")


def temporary_folder() -> Finding:
    """Writes to the folder of temporary files, where Beam keeps its own."""
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        return Finding("temporary", State.WRONG, str(error), "Set TMPDIR to a folder that can be written")
    return _written("temporary", folder) or _space("temporary", folder, f"{folder} can be written")


def _written(check: str, folder: str) -> Finding | None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        remedy = f"Free some space in {folder}, give this user access, or choose another folder"
        return Finding(check, State.WRONG, f"{folder} cannot be written: {error.strerror}", remedy)
    return None


def _space(check: str, folder: str, sentence: str) -> Finding:
    free = shutil.disk_usage(folder).free
    if free < LEAST:
        remedy = "Free some, with vaeiaf prune too"
        return Finding(check, State.WRONG, f"{sentence}, but its disk has {free / 1e9:.1f} GB free", remedy)
    return Finding(check, State.OK, f"{sentence}, {free / 1e9:.1f} GB free")
