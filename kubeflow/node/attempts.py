"""The attempts at a task, over all its pods: a file beside the log."""

import contextlib
import datetime
import json
import os
import re
from typing import NamedTuple

from kubeflow.spec.contract import ARGO_NODE
from trainer.failure import Failure, Kind


class Attempt(NamedTuple):
    """One start of the task's work."""

    start: float  # seconds since the epoch
    failure: Failure | None = None  # None while it runs, and if its pod was lost

    @property
    def failed(self) -> bool:
        """Whether the work itself failed; a pod that was stopped or lost says nothing about it."""
        return self.failure is not None and self.failure.kind != Kind.STOPPED

    def __str__(self) -> str:
        start = datetime.datetime.fromtimestamp(self.start, datetime.UTC)
        return f"{start:%Y-%m-%d %H:%M:%S} UTC: {self.failure or 'the pod was lost'}"


def is_first_pod() -> bool:
    """Whether this is the task's first pod, also after a Retry in the UI: Argo numbers the others from 1."""
    return not re.search(r"\([1-9]\d*\)$", os.environ.get(ARGO_NODE, ""))


def read_attempts(path: str) -> list[Attempt]:
    """Returns the attempts in the file `path`, or none: an unreadable one only costs a count."""
    attempts: list[Attempt] = []
    try:
        with open(path) as file:
            for entry in map(json.loads, file):
                if "start" in entry:
                    attempts.append(Attempt(entry["start"]))
                else:
                    attempts[-1] = attempts[-1]._replace(failure=Failure.from_json(json.dumps(entry)))
    except (OSError, ValueError, TypeError, IndexError):
        return []
    return attempts


def record_start(path: str, start: float, first: bool) -> None:
    """Adds the start of an attempt to the file `path`, which the first one creates anew.

    Raises:
      OSError: it cannot be written.
    """
    with open(path, "w" if first else "a") as file:
        print(json.dumps({"start": start}), file=file)


def record_failure(path: str, failure: Failure) -> None:
    """Adds the failure of the last attempt to the file `path`. A disk that does not take it is no new failure."""
    with contextlib.suppress(OSError), open(path, "a") as file:
        print(failure.to_json(), file=file)
