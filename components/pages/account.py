"""What a run did, for its report: settings, nodes, data, origins and lineage.

Only plain data, because ML Metadata and the state directory are out of reach here; `pipeline.account` fills it.
"""

import dataclasses
from typing import Any

import pydantic


@dataclasses.dataclass(frozen=True)
class Change:
    """A setting that differs from the earlier run."""

    name: str
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Node:
    """The last execution of a node in the run."""

    node: str
    result: str  # made, reused, failed or unfinished
    seconds: float  # of this execution
    waited: float  # seconds since the node before it ended
    attempts: int  # executions in the run
    since: str | None  # the earlier run that made what is reused, or that `why` compares with
    why: tuple[str, ...]  # why it ran


@dataclasses.dataclass(frozen=True)
class Examples:
    """The images of a run, or of one of its spans."""

    span: str  # its name; empty: the data have no spans
    images: dict[str, int]  # by split
    digest: str


@dataclasses.dataclass(frozen=True)
class Step:
    """A box of the lineage, made from the one before it and from the one `beside` it."""

    title: str
    details: tuple[str, ...] = ()
    beside: "Step | None" = None


@dataclasses.dataclass(frozen=True)
class Account:
    """What a run did before its report was written."""

    run: str  # its id
    started: str  # local time
    seconds: float  # until the report
    nodes: tuple[Node, ...]  # in the order of their start
    earlier: str | None  # the run whose settings are compared; None: no earlier run recorded its own
    changes: tuple[Change, ...]
    data: str  # name of the data set, or path
    examples: tuple[Examples, ...]  # the oldest span first
    made_with: dict[str, str]  # code, libraries and machine of the process that tells it
    digests: dict[str, str]  # of models, by what they are
    lineage: tuple[Step, ...]
    attempts: tuple[str, ...] = ()  # what became of earlier attempts at tasks on a cluster

    def to_json(self) -> str:
        """Returns the account as text; `from_json` takes it back."""
        return _ADAPTER.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "Account":
        """Undoes `to_json`."""
        return _ADAPTER.validate_json(text)


_ADAPTER = pydantic.TypeAdapter(Account)


def in_words(value: Any) -> str:
    """Returns the value of a setting as it is written in a configuration."""
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
