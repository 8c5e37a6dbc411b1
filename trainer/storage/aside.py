"""Folders that are moved aside: renamed, with their digests, beside their place, with a note of when and why.

The note is written first. It completes a move that a killed process began, and until then says that neither the folder
nor its digests count. Imports no TensorFlow.
"""

import json
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from trainer.storage.digests import SUFFIX, digest_file
from trainer.storage.durable import sync_folder, write_durably

NOTE = ".json"  # after the new name


class Aside(NamedTuple):
    """A folder that is moved aside, or is being moved."""

    folder: str  # its place
    moved: str  # its new name
    note: dict[str, Any]


def move_aside(folder: str, mark: str, note: dict[str, Any]) -> str:
    """Renames `folder` and its digests to a name with `mark` and the time, and returns the new name.

    The `note`, in JSON types, lies beside it, with the time and the place.

    Raises:
      OSError: it cannot be renamed.
    """
    now = time.strftime("%Y%m%dT%H%M%S")
    moved = f"{folder.rstrip('/')}{mark}{now}"
    while os.path.lexists(moved) or os.path.lexists(moved + NOTE):
        moved += "x"
    content = {"time": now, "was": folder, **note}
    write_durably(moved + NOTE, json.dumps(content, indent=1).encode())
    _move(folder, moved)
    return moved


def finish_moves(parent: str, mark: str) -> None:
    """Completes the moves in `parent` that killed processes began.

    Raises:
      OSError: a folder cannot be renamed.
    """
    for found in moved_aside(parent, mark):
        _move(found.folder, found.moved)


def moved_aside(parent: str, mark: str) -> Iterator[Aside]:
    """Yields what was moved aside in `parent` with `mark`, the oldest first. A note that cannot be read is empty."""
    names = sorted(os.listdir(parent)) if os.path.isdir(parent) else []
    for name in names:
        if mark not in name or not name.endswith(NOTE) or name.endswith(SUFFIX):
            continue
        moved = os.path.join(parent, name.removesuffix(NOTE))
        try:
            note = json.loads(pathlib.Path(parent, name).read_bytes())
        except ValueError:
            note = {}
        yield Aside(os.path.join(parent, name.partition(mark)[0]), moved, note if isinstance(note, dict) else {})


def _move(folder: str, moved: str) -> None:
    if os.path.exists(digest_file(folder)) and not os.path.exists(digest_file(moved)):
        os.rename(digest_file(folder), digest_file(moved))
    if os.path.exists(folder) and not os.path.exists(moved):
        os.rename(folder, moved)
    sync_folder(os.path.dirname(moved))
