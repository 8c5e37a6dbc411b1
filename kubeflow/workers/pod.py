"""A worker's pod as the Kubernetes API describes it: how it ended, or why it has not started."""

import dataclasses
import signal
from collections.abc import Mapping
from typing import Any, NamedTuple

from trainer.workers.launch import BAD_INPUT, STOPPED

WORKER = "worker"  # the container
INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
HOPELESS = {  # why a container waits, if it seldom stops waiting
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
}
CANNOT_RUN = {"StartError", "ContainerCannotRun"}  # why a container ended without having run
_SIGNALS = {number.value: number.name for number in signal.Signals}


class Why(NamedTuple):
    """The reason for a state, in Kubernetes' words; false without a reason."""

    reason: str
    message: str

    def __str__(self) -> str:
        return ": ".join(filter(None, self)) or "no reason is given"

    def __bool__(self) -> bool:
        return bool(self.reason)


@dataclasses.dataclass(frozen=True)
class Pod:
    """A worker's pod as the API last described it."""

    name: str
    uid: str
    job: str  # uid of the Job that owns it
    index: int  # of the worker
    phase: str  # Pending, Running, Succeeded, Failed or Unknown
    node: str  # empty: it is not scheduled
    memory: str  # limit of the container
    grace: int | None  # seconds that it has to stop, once it is told to
    lost: Why  # why Kubernetes takes it from its node, as Evicted
    unscheduled: Why | None  # why it has no node
    nominated: bool  # the scheduler makes room for it on a node
    waiting: Why  # why the container waits
    code: int | None  # exit code of the container
    exit: Why  # of the container, with its termination message
    finished: str  # when the container ended, as the API writes it; empty before
    gone: bool = False  # the pod was deleted since

    @classmethod
    def of(cls, found: Mapping[str, Any], gone: bool = False) -> "Pod":
        """Reads the API's object."""
        metadata, spec, status = found["metadata"], found["spec"], found["status"]
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        disruption, scheduled = conditions.get("DisruptionTarget", {}), conditions.get("PodScheduled", {})
        states = {container["name"]: container["state"] for container in status.get("containerStatuses") or ()}
        state = states.get(WORKER, {})
        terminated = state.get("terminated") or {}
        container = next(container for container in spec["containers"] if container["name"] == WORKER)
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            job=next((owner["uid"] for owner in metadata.get("ownerReferences") or ()), ""),
            index=int(metadata["annotations"][INDEX_ANNOTATION]),
            phase=status.get("phase", ""),
            node=spec.get("nodeName") or "",
            memory=container["resources"]["limits"]["memory"],
            grace=metadata.get("deletionGracePeriodSeconds", 0) if "deletionTimestamp" in metadata else None,
            lost=_why(status) or _why(disruption if disruption.get("status") == "True" else {}),
            unscheduled=_why(scheduled) if scheduled.get("status") == "False" else None,
            nominated=bool(status.get("nominatedNodeName")),
            waiting=_why(state.get("waiting") or {}),
            code=terminated.get("exitCode"),
            exit=_why(terminated),
            finished=terminated.get("finishedAt") or "",
            gone=gone,
        )

    def worker(self, count: int) -> str:
        """Returns the name of the worker in messages."""
        return f"worker {self.index} of {count} (pod {self.name})"

    @property
    def started(self) -> bool:
        """Whether the container runs, or ran."""
        return self.phase in ("Running", "Succeeded", "Failed")

    @property
    def succeeded(self) -> bool:
        """Whether the work is done."""
        return self.phase == "Succeeded"

    @property
    def failed(self) -> bool:
        """Whether the pod ended without having done the work. A pod that is gone did, in whatever state it was."""
        return not self.succeeded and bool(self.gone or self.phase == "Failed" or self.code)

    @property
    def hopeless(self) -> bool:
        """Whether the container waits for something that seldom comes, as a missing image."""
        return self.waiting.reason in HOPELESS

    @property
    def rejected(self) -> bool:
        """Whether the scheduler finds no node and makes no room on one. A pod that a queue holds back is not."""
        return self.unscheduled is not None and self.unscheduled.reason == "Unschedulable" and not self.nominated

    @property
    def why_waiting(self) -> str:
        """Why a pod has not started."""
        return str(self.waiting or self.unscheduled or self.lost).rstrip(".")

    @property
    def retriable(self) -> bool:
        """Whether a failed worker may succeed the next time."""
        return self.code != BAD_INPUT and self.exit.reason not in CANNOT_RUN

    @property
    def end(self) -> str:
        """How a failed pod ended, as the predicate of a sentence."""
        if self.lost:
            return f"was lost ({self.lost.reason}): {self.lost.message}"
        if self.exit.reason == "OOMKilled":
            return (
                f"was killed (OOMKilled): it needs more memory than workers.pod.memory in cluster.yaml, {self.memory}"
            )
        if self.exit.reason in CANNOT_RUN:
            return f"could not be started ({self.exit.reason}): {self.exit.message}"
        if self.code is None:
            return "was deleted"
        if self.code > 128:
            return f"was killed by {_SIGNALS.get(self.code - 128, f'signal {self.code - 128}')}"
        return f"ended with exit code {self.code}"

    @property
    def blame(self) -> int:
        """Ranks pods that failed together; the highest is the cause.

        An ordinary error may be a consequence of a peer's exit; a lost machine, a signal or a deliberate exit is not.
        A failed Job deletes its other pods, so a deleted pod comes last.
        """
        if self.lost:
            return 4
        if self.grace is not None or self.code is None:
            return 0
        return 2 if self.code in (BAD_INPUT, STOPPED) else 3 if self.code > 128 else 1


def _why(found: Mapping[str, Any]) -> Why:
    return Why(found.get("reason") or "", found.get("message") or "")
