"""Withdrawn versions: never served, never chosen by a rollback, and never pushed again.

A withdrawn version is moved aside in its push directory. Its note stays, and names the model by the digest of its files
and by TensorFlow's fingerprint, which another export of the same weights shares. Imports neither TensorFlow nor TFX.
"""

import base64
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from components.card.names import model_identity
from trainer.storage.aside import finish_moves, move_aside, moved_aside
from trainer.storage.digests import recorded_or_present

MARK = ".withdrawn-"  # in the name of a withdrawn version, before the time
FINGERPRINT = "fingerprint.pb"  # TensorFlow's, in a SavedModel


class Withdrawal(NamedTuple):
    """The record of a withdrawn version."""

    version: int
    time: str  # local, such as 20260131T235959
    who: str
    reason: str
    model: str  # identity of the SavedModel's files, without its card
    fingerprint: str  # the file fingerprint.pb in base64, empty if the model has none
    moved: str  # where its files are, unless they were pruned

    def __str__(self) -> str:
        return f"version {self.version}, withdrawn by {self.who}: {self.reason}"


def withdraw(base: str, version: int, who: str, reason: str) -> str:
    """Moves the version in the push directory `base` aside, and returns its new path.

    Call it with the lock of the push directory.

    Raises:
      OSError: it cannot be renamed.
    """
    path = os.path.join(base, str(version))
    names = {"model": model_identity(recorded_or_present(path)), "fingerprint": fingerprint(path)}
    return move_aside(path, MARK, {"who": who, "reason": reason, **names})


def fingerprint(model: str) -> str:
    """Returns TensorFlow's fingerprint of the SavedModel at the path `model` in base64, empty if it has none."""
    try:
        return base64.b64encode(pathlib.Path(model, FINGERPRINT).read_bytes()).decode()
    except FileNotFoundError:
        return ""


def withdrawals(base: str) -> list[Withdrawal]:
    """Returns the withdrawn versions of the push directory `base`, the oldest withdrawal first."""
    return [
        Withdrawal(
            version=int(name),
            moved=one.moved,
            **{field: str(one.note.get(field, "")) for field in ("time", "who", "reason", "model", "fingerprint")},
        )
        for one in moved_aside(base, MARK)
        if (name := os.path.basename(one.folder)).isdigit()
    ]


def is_withdrawn(path: str, gone: Sequence[Withdrawal]) -> Withdrawal | None:
    """Returns the withdrawal among `gone` of the version at `path`, or of its model; None if there is none.

    A killed process may have withdrawn a part of the versions of one model.
    """
    model = model_identity(recorded_or_present(path)) if gone else ""
    return next((one for one in gone if str(one.version) == os.path.basename(path) or one.model == model), None)


def finish_withdrawals(base: str) -> None:
    """Completes the withdrawals in the push directory `base` that killed processes began.

    Call it with the lock of the push directory.

    Raises:
      OSError: a version cannot be renamed.
    """
    finish_moves(base, MARK)
    gone = withdrawals(base)
    for version in present(base):
        if found := is_withdrawn(os.path.join(base, str(version)), gone):
            withdraw(base, version, found.who, found.reason)


def present(base: str) -> list[int]:
    """Returns the numbers that versions in the push directory `base` have, withdrawn or not, the lowest first."""
    names = os.listdir(base) if os.path.isdir(base) else []
    return sorted(int(name) for name in names if name.isdigit())
