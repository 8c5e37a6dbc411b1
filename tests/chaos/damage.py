"""Finds the files of a state directory, sorts them by kind, and damages one."""

import hashlib
import pathlib
import random
import re
from typing import NamedTuple

WAYS = ("delete", "truncate", "flip", "zero")
BLOCK_BYTES = 512
# Kinds of files by their path below the state directory; the first match counts.
KINDS = {
    "digests": r".*\.digests\.json",
    "Examples": r"artifacts/[^/]+/ImageExampleGen/.*",
    "statistics": r"artifacts/[^/]+/StatisticsGen/.*",
    "anomalies": r"artifacts/[^/]+/StrictExampleValidator/.*",
    "transform graph": r"artifacts/[^/]+/Transform/.*",
    "model": r"artifacts/[^/]+/Trainer/model/.*",
    "model run": r"artifacts/[^/]+/Trainer/model_run/.*",
    "check": r"artifacts/[^/]+/ServingCheck/.*",
    "blessing": r"artifacts/[^/]+/Evaluator/blessing/.*",
    "evaluation": r"artifacts/[^/]+/Evaluator/evaluation/.*",
    "push record": r"artifacts/[^/]+/AtomicPusher/.*",
    "report": r"artifacts/[^/]+/Report/.*",
    "pushed version": r"pushed/[^/]+/\d+/.*",
    "checkpoint": r"training/.*/step-\d+/.*",
    "workers' job": r"training/.*/job/.*",
    "training": r"training/.*",
    "data set": r"datasets/.*",
    "log": r"logs/.*",
    "lock": r"lock",
    "metadata.sqlite": r"metadata\.sqlite.*",
    "other": r".*",
}


class Damage(NamedTuple):
    """A damage that was done."""

    path: pathlib.Path
    way: str
    state: str | None  # digest of the damaged file; None if it is missing

    def is_there(self) -> bool:
        """Returns whether the file is still damaged and its folder still has its name."""
        return state(self.path) == self.state and self.path.parent.is_dir()


def kind(name: str) -> str:
    """Returns the kind of the file with the path `name` below the state directory."""
    return next(kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, name))


def files(root: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Returns the sorted files of a state directory by kind."""
    found: dict[str, list[pathlib.Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            found.setdefault(kind(str(path.relative_to(root))), []).append(path)
    return found


def state(path: pathlib.Path) -> str | None:
    """Returns the digest of a file, or None if there is no file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def damage(path: pathlib.Path, way: str, rng: random.Random) -> Damage:
    """Damages a file in place; if `way` changes nothing, as in an empty file, in another way.

    Raises:
      FileNotFoundError: the file is missing.
    """
    content = path.read_bytes()
    changed = _changed(content, way, rng)
    if changed == content:
        way, changed = ("flip", _changed(content, "flip", rng)) if content else ("delete", None)
    if changed is None:
        path.unlink()
        return Damage(path, way, None)
    with path.open("r+b") as file:
        file.write(changed)
        file.truncate()
    return Damage(path, way, hashlib.sha256(changed).hexdigest())


def _changed(content: bytes, way: str, rng: random.Random) -> bytes | None:
    if way == "delete":
        return None
    if not content:
        return content
    place = rng.randrange(len(content))
    if way == "truncate":
        return content[:place]
    if way == "flip":
        return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
    end = min(place + BLOCK_BYTES, len(content))
    return content[:place] + bytes(end - place) + content[end:]
