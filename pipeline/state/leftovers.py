"""What killed runs and damage left in a state directory, and its removal."""

import os
import shutil
from collections.abc import Iterator

from trainer.storage.digests import SUFFIX, digest_file
from trainer.storage.quarantine import DAMAGED


def output_folders(artifacts: str) -> Iterator[str]:
    """Yields the output folders of executions, NODE/KEY/EXECUTION in the folder of a pipeline's artifacts."""
    for node in _folders(artifacts):
        for key in _folders(node):
            yield from (path for path in _folders(key) if os.path.basename(path).isdigit())


def unpublished(base: str, recorded: set[int]) -> Iterator[str]:
    """Yields the digests of versions that are neither there nor `recorded`: their push was killed."""
    for name in os.listdir(base):
        version = name.removesuffix(SUFFIX)
        is_digests = name.endswith(SUFFIX) and version.isdigit()
        if is_digests and int(version) not in recorded and not os.path.exists(os.path.join(base, version)):
            yield os.path.join(base, name)


def damaged(root: str, pipeline: str) -> Iterator[str]:
    """Yields the folders of a pipeline that were moved aside because of damage, their digests and their notes."""
    for folder in ("artifacts", "pushed", "training"):
        for path, folders, names in os.walk(os.path.join(root, folder, pipeline)):
            yield from (os.path.join(path, name) for name in (*folders, *names) if DAMAGED in name)
            folders[:] = [name for name in folders if DAMAGED not in name]


def remove(path: str) -> None:
    """Removes a file, or a folder and its digests, which go first: half a folder must not seem to be damaged.

    Raises:
      OSError: it cannot be removed.
    """
    if os.path.exists(digest_file(path)):
        os.remove(digest_file(path))
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)


def size(path: str) -> int:
    """Returns the bytes of a file, or of the files below a folder."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(path) for name in names)


def _folders(path: str) -> list[str]:
    return sorted(entry.path for entry in os.scandir(path) if entry.is_dir()) if os.path.isdir(path) else []
