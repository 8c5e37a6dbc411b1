"""What the pods of a run left: their failures, and the outcome of the run."""

import contextlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from kubeflow.client.api import Api
from kubeflow.client.argo import Pod, kept_log, pod_log
from kubeflow.spec.contract import FACTS, OUTCOME
from trainer.failure import Failure, Kind


def failures(pods: Iterable[Pod]) -> dict[str, Failure]:
    """Returns, by task, what the last of its failed pods left.

    Argo puts the container and its exit code before our message, and says itself what happened to a lost pod.
    """
    left = {pod.task: pod.message for pod in pods if pod.message}
    return {
        task: Failure.from_json(message[message.find("{") :]) or Failure(Kind.INFRASTRUCTURE, message)
        for task, message in left.items()
    }


class Told(NamedTuple):
    """What the last task's log says of the model, with its numbers."""

    text: str
    facts: dict[str, Any] | None  # None in an earlier version


def outcome(api: Api, run: str, pods: list[Pod]) -> Told | None:
    """Returns what the last task's log says; None if no log can be read."""
    for pod in reversed(pods):
        if pod.phase == "Succeeded" and not pod.task.endswith("-driver"):
            for read in (kept_log, pod_log):
                if found := _outcome(read(api, run, pod)):
                    return found
    return None


def _outcome(log: str) -> Told | None:
    """Returns what is in the line of JSON, before which a logger may put the time."""
    for line in reversed(log.splitlines()):
        with contextlib.suppress(ValueError, LookupError, TypeError):
            found = json.loads(line[line.index("{") :])
            return Told(str(found[OUTCOME]), found.get(FACTS))
    return None
