"""Verifies a whole state directory. Imports neither TensorFlow nor TFX, so gigabytes take seconds."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.gate.serving import PRUNED, versions
from components.gate.withdrawal import MARK as WITHDRAWN
from pipeline.state.executions import METADATA, is_shared, open_store
from pipeline.state.runs import PUSHED_TO
from pipeline.state.served import push_directories
from pipeline.state.sqlite import fault as sqlite_fault
from trainer.errors import UserError
from trainer.storage.aside import moved_aside
from trainer.storage.digests import SUFFIX, digest_file, read_digests
from trainer.storage.quarantine import DAMAGED, damage

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
    metadata, damaged, size = os.path.join(root, METADATA), [], 0
    has_file = os.path.exists(metadata)
    has_metadata = has_file or is_shared(root)
    fault = sqlite_fault(metadata) if has_file else None
    recorded = _recorded(root) if has_metadata and not fault else None
    folders = {*_with_digests(root), *_pushed(root)}
    for folder in sorted(folders):
        if what := damage(folder):
            if not (_is_gone(folder) or _is_unpublished(folder, root, recorded)):
                damaged.append(what)
        else:
            size += sum(digest.size for digest in read_digests(folder).values())
    if fault:
        damaged.append(f"{metadata} is damaged: {fault}")
    if recorded:
        missing = sorted(recorded.folders - folders)
        damaged += [f"{uri} is missing or has no digests" for uri in missing]
    return Verified(len(folders), size, damaged, has_metadata)


class _Recorded(NamedTuple):
    """What ML Metadata records."""

    folders: set[str]  # of the artifacts that a run may still reuse
    pushed: set[str]  # versions, as PIPELINE/VERSION


def _is_gone(folder: str) -> bool:
    """Tells whether a run has just removed the folder."""
    return not os.path.exists(folder) and not os.path.exists(digest_file(folder))


def _is_unpublished(folder: str, root: str, recorded: _Recorded | None) -> bool:
    """Tells whether the folder is a version that a killed push did not publish; its digests come first."""
    in_push_directory = os.path.dirname(folder) in push_directories(root).values()
    return (
        in_push_directory
        and recorded is not None
        and not os.path.exists(folder)
        and _version(folder) not in recorded.pushed
    )


def _with_digests(root: str) -> Iterator[str]:
    """Yields the folders that a digest file belongs to, even if the folder itself is missing."""
    leaving = {folder for base in push_directories(root).values() for folder in _leaving(base)}
    for path, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _is_aside(name)]
        for name in names:
            if name.endswith(SUFFIX) and not _is_aside(name):
                folder = os.path.join(path, name.removesuffix(SUFFIX))
                if folder not in leaving:
                    yield folder


def _pushed(root: str) -> Iterator[str]:
    for base in push_directories(root).values():
        yield from {os.path.join(base, str(version)) for version in versions(base)} - _leaving(base)


def _is_aside(name: str) -> bool:
    return any(mark in name for mark in ASIDE)


def _leaving(base: str) -> set[str]:
    """Returns the versions that a killed process was moving aside; the next command completes that."""
    return {found.folder for mark in (WITHDRAWN, PRUNED) for found in moved_aside(base, mark)}


def _recorded(root: str) -> _Recorded:
    artifacts = open_store(root).get_artifacts()
    pushed = [
        artifact.custom_properties[PUSHED_TO].string_value
        for artifact in artifacts
        if PUSHED_TO in artifact.custom_properties
    ]
    live = {artifact.uri for artifact in artifacts if artifact.state == mlmd.Artifact.LIVE}
    return _Recorded(live, {_version(path) for path in pushed})


def _version(path: str) -> str:
    """Returns PIPELINE/VERSION of the path of a version, which may be that of another place of the root."""
    return os.path.join(*path.split("/")[-2:])
