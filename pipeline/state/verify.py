"""Verifies a whole state directory. Imports neither TensorFlow nor TFX, so gigabytes take seconds."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.gate.publish import PRUNED
from components.gate.serving import versions
from components.gate.withdrawal import MARK as WITHDRAWN
from pipeline.state.database import Database, sqlite_connection
from pipeline.state.store import Store
from trainer.errors import UserError
from trainer.storage.aside import moved_aside
from trainer.storage.digests import SUFFIX, digest_file, read_digests
from trainer.storage.quarantine import DAMAGED, damage

METADATA = "metadata.sqlite"
ASIDE = (DAMAGED, WITHDRAWN, PRUNED)  # in the names of folders that nothing reads any more


class Verified(NamedTuple):
    """The state of a state directory."""

    folders: int  # with digests
    size: int  # bytes in the intact ones
    damage: list[str]  # a sentence each
    has_metadata: bool  # without it, an artifact lost together with its digests is not missed


def verify(root: str) -> Verified:
    """Verifies every file below `root` that has a digest, and looks for every artifact that the metadata records.

    Raises:
      UserError: there is no state directory at `root`.
      ReportedError: a file cannot be read, or the database is locked for too long.
    """
    if not os.path.isdir(root) or not (os.path.exists(os.path.join(root, METADATA)) or list(_with_digests(root))):
        raise UserError(f"--root {root} is not a state directory", value=root, remedy="Give the --root of earlier runs")
    damaged, size = [], 0
    folders = {*_with_digests(root), *_pushed(root)}
    for folder in sorted(folders):
        if what := damage(folder):
            if os.path.exists(folder) or os.path.exists(digest_file(folder)):  # otherwise a run has just removed it
                damaged.append(what)
        else:
            size += sum(digest.size for digest in read_digests(folder).values())
    metadata = os.path.join(root, METADATA)
    if has_metadata := os.path.exists(metadata):
        if what := _database_damage(metadata):
            damaged.append(f"{metadata} is damaged: {what}")
        else:
            missing = sorted(_recorded(root, metadata) - folders)
            damaged += [f"{uri} is missing or has no digests" for uri in missing]
    return Verified(len(folders), size, damaged, has_metadata)


def _with_digests(root: str) -> Iterator[str]:
    """Yields the folders that a digest file belongs to, even if the folder itself is missing."""
    leaving = {folder for base in _push_directories(root) for folder in _leaving(base)}
    for path, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _is_aside(name)]
        for name in names:
            if name.endswith(SUFFIX) and not _is_aside(name):
                folder = os.path.join(path, name.removesuffix(SUFFIX))
                if folder not in leaving:
                    yield folder


def _pushed(root: str) -> Iterator[str]:
    for base in _push_directories(root):
        yield from {os.path.join(base, str(version)) for version in versions(base)} - _leaving(base)


def _push_directories(root: str) -> list[str]:
    pushed = os.path.join(root, "pushed")
    return [os.path.join(pushed, name) for name in os.listdir(pushed)] if os.path.isdir(pushed) else []


def _is_aside(name: str) -> bool:
    return any(mark in name for mark in ASIDE)


def _leaving(base: str) -> set[str]:
    """Returns the versions that a killed process was moving aside; the next command completes that."""
    return {found.folder for mark in (WITHDRAWN, PRUNED) for found in moved_aside(base, mark)}


def _recorded(root: str, metadata: str) -> set[str]:
    """Returns the folders of the artifacts that a run may still reuse."""
    store = Store(root, Database(sqlite_connection(metadata)))
    return {artifact.uri for artifact in store.get_artifacts() if artifact.state == mlmd.Artifact.LIVE}


def _database_damage(path: str) -> str | None:
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:  # locked: the store waits for it
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if answer == "ok" else answer
