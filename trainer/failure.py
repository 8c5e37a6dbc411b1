"""Failures as data: one type for a message, an exit code and the file that a process leaves behind."""

import contextlib
import dataclasses
import enum
import json
import pathlib
import signal
from typing import Any

from trainer.exit_codes import BAD_INPUT, FAILED, REFUSED

FILE = "error.json"  # the end of the file's name, beside the log of the process
MAX_BYTES = 4096  # Kubernetes cuts a longer termination message


class Kind(enum.StrEnum):
    """Who has to act."""

    BAD_INPUT = "bad input"  # the user: trying again cannot help
    REFUSED = "refused"  # nobody: the gate did its work
    INFRASTRUCTURE = "infrastructure"  # disk, network, database, machine: trying again may help
    STOPPED = "stopped"  # nobody: a signal ended the process
    BUG = "bug"  # the developers


EXIT_CODES = {Kind.BAD_INPUT: BAD_INPUT, Kind.REFUSED: REFUSED, Kind.INFRASTRUCTURE: FAILED, Kind.BUG: FAILED}


@dataclasses.dataclass(frozen=True)
class Failure:
    """What went wrong. As text: `sentence: expected valid, got value. remedy`."""

    kind: Kind
    sentence: str
    value: Any = None  # what was found, a JSON type; of STOPPED the name of the signal
    valid: str = ""  # what was expected in its place
    remedy: str = ""
    cause: str = ""  # what the system or a library said

    def __str__(self) -> str:
        valid = f": expected {self.valid}, got {self.value!r}" if self.valid else ""
        return f"{self.sentence}{valid}{self.remedy and f'. {self.remedy}'}"

    @property
    def exit_code(self) -> int:
        """The exit code that tells a scheduler."""
        return 128 + signal.Signals[self.value] if self.kind == Kind.STOPPED else EXIT_CODES[self.kind]

    def to_json(self) -> str:
        """At most `MAX_BYTES` of JSON; `message`, the whole text, is for people and comes first."""
        fields = dataclasses.asdict(self)
        for length in (MAX_BYTES, 1000, 400, 100, 30):
            short = {name: _cut(value, length) for name, value in fields.items()}
            content = json.dumps({"message": str(self)[: 2 * length], **short}, default=repr)
            if len(content.encode()) <= MAX_BYTES:
                break
        return content

    @classmethod
    def from_json(cls, text: str) -> "Failure | None":
        """Undoes `to_json`; None for any other text."""
        with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
            fields = json.loads(text)
            fields.pop("message", None)
            return cls(**{**fields, "kind": Kind(fields["kind"])})
        return None


def _cut(value: Any, length: int) -> Any:
    """Returns `value`, or the first `length` characters of its text if it is longer."""
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    return value if len(text) <= length else text[:length]


def leave(failure: Failure, path: str) -> None:
    """Writes the failure to the file `path` for whoever asks later. A disk that does not take it is no new failure."""
    with contextlib.suppress(OSError):
        pathlib.Path(path).write_text(failure.to_json())


def left(path: str) -> Failure | None:
    """The failure that a process left in the file `path`; None if there is none."""
    try:
        return Failure.from_json(pathlib.Path(path).read_text())
    except (OSError, UnicodeDecodeError):
        return None
