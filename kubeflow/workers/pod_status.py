"""What the status of a worker's pod says: how it ended, or why it has not started."""

import signal
from typing import Any, NamedTuple

from kubeflow.workers.manifests import WORKER
from trainer.workers.launch import BAD_INPUT, STOPPED

INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
HOPELESS = {  # reasons of a container that waits, which seldom pass
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
}
CANNOT_RUN = {"StartError", "ContainerCannotRun"}  # of one that ended without having run
_SIGNALS = {number.value: number.name for number in signal.Signals}

Pod = dict[str, Any]


class End(NamedTuple):
    """Of a pod that did not do its work."""

    pod: str
    worker: int
    how: str
    code: int | None  # of its process, if that is known
    blame: int  # the highest is no consequence of another's end
    finished: str  # when, or empty
    again: bool  # whether it may go better the next time
    words: str  # the last that it said


class Wait(NamedTuple):
    """Of a pod that does not run yet."""

    pod: str
    uid: str
    worker: int
    why: str
    hopeless: bool
    placed: bool  # False: it has no machine yet
    refused: bool  # the scheduler has found none, and makes no room on one; not so if a queue holds the pod back


def worker_index(pod: Pod) -> int:
    """Its place among the workers."""
    return int(pod["metadata"]["annotations"][INDEX_ANNOTATION])


def worker_name(index: int, count: int, pod: str) -> str:
    """How messages call it."""
    return f"worker {index} of {count} (pod {pod})"


def has_succeeded(pod: Pod) -> bool:
    """Whether its work is done."""
    return pod["status"].get("phase") == "Succeeded"


def has_started(pod: Pod) -> bool:
    """Whether its container runs, or ran."""
    return pod["status"].get("phase") in ("Running", "Succeeded", "Failed")


def end_of(pod: Pod, gone: bool) -> End | None:
    """How it failed; None if it did not. A pod that is `gone` was deleted in the state that is given."""
    status, state = pod["status"], _container(pod).get("terminated", {})
    code = state.get("exitCode")
    if has_succeeded(pod) or not (gone or status.get("phase") == "Failed" or code):
        return None
    return End(
        pod["metadata"]["name"],
        worker_index(pod),
        _how(pod, code, state),
        code,
        _blame(pod, code),
        state.get("finishedAt") or "",
        again=state.get("reason") not in CANNOT_RUN,
        words=state.get("message") or "",
    )


def wait_of(pod: Pod) -> Wait | None:
    """What it waits for; None if it has started."""
    if has_started(pod):
        return None
    state, scheduled = _container(pod).get("waiting", {}), _condition(pod, "PodScheduled")
    placed = scheduled.get("status") != "False"
    refused = not placed and scheduled.get("reason") == "Unschedulable" and not pod["status"].get("nominatedNodeName")
    said = state if state.get("reason") else pod["status"] if placed else scheduled
    why = ": ".join(filter(None, (said.get("reason"), said.get("message")))) or "no reason is given"
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    return Wait(name, uid, worker_index(pod), why, state.get("reason") in HOPELESS, placed, refused)


def _how(pod: Pod, code: int | None, state: dict[str, Any]) -> str:
    status, disruption = pod["status"], _condition(pod, "DisruptionTarget")
    if status.get("reason"):  # Evicted, NodeLost, OutOfmemory
        return f"was lost ({status['reason']}): {status.get('message', '')}"
    if disruption:
        return f"was lost ({disruption.get('reason')}): {disruption.get('message', '')}"
    if state.get("reason") == "OOMKilled":
        limit = pod["spec"]["containers"][0]["resources"]["limits"]["memory"]
        return f"was killed (OOMKilled): it needs more memory than workers.pod.memory in cluster.yaml, {limit}"
    if state.get("reason") in CANNOT_RUN:
        return f"could not be started ({state['reason']}): {state.get('message', '')}"
    if code is None:
        return "was deleted"
    if code > 128:
        return f"was killed by {_SIGNALS.get(code - 128, f'signal {code - 128}')}"
    return f"ended with exit code {code}"


def _blame(pod: Pod, code: int | None) -> int:
    """Orders what ended together: an error may come of another's end; an end from outside or by choice does not.

    A failed Job deletes the pods that are left, so those are last.
    """
    if pod["status"].get("reason") or _condition(pod, "DisruptionTarget"):
        return 4
    if pod["metadata"].get("deletionTimestamp") or code is None:
        return 0
    return 2 if code in (BAD_INPUT, STOPPED) else 3 if code > 128 else 1


def _container(pod: Pod) -> dict[str, Any]:
    """The state of the worker's container."""
    for status in pod["status"].get("containerStatuses") or ():
        if status["name"] == WORKER:
            return status["state"]
    return {}


def _condition(pod: Pod, kind: str) -> dict[str, Any]:
    """The condition of that kind; of DisruptionTarget only if it holds."""
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == kind and (kind != "DisruptionTarget" or condition["status"] == "True"):
            return condition
    return {}
