"""The Job of a training as the Kubernetes API describes it."""

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

FINGERPRINT = "vaeiaf/manifest"  # annotation: Jobs with the same value do the same work in the same way


class Job(NamedTuple):
    """An Indexed Job as the API last described it."""

    name: str
    uid: str
    fingerprint: str
    created: float  # seconds since the epoch
    started: float  # when Kubernetes starts to count the deadline; later than `created` for a Job that is queued
    deleting: bool
    suspended: bool  # a queue holds it back: it has no pods
    state: str  # Complete, Failed, or empty while it runs
    reason: str  # of the state
    message: str

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Job":
        """Reads the API's object."""
        metadata, status = found["metadata"], found.get("status", {})
        ends = (condition for condition in status.get("conditions") or () if condition["status"] == "True")
        end: Mapping[str, str] = next((end for end in ends if end["type"] in ("Complete", "Failed")), {})
        created = metadata["creationTimestamp"]
        return cls(
            metadata["name"],
            metadata["uid"],
            (metadata.get("annotations") or {}).get(FINGERPRINT, ""),
            _seconds(created),
            _seconds(status.get("startTime") or created),
            "deletionTimestamp" in metadata,
            bool(found["spec"].get("suspend")),
            end.get("type", ""),
            end.get("reason", ""),
            end.get("message", ""),
        )


def _seconds(stamp: str) -> float:
    return datetime.datetime.fromisoformat(stamp).timestamp()
