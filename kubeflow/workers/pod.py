"""A worker's pod as the Kubernetes API describes it: why it has not started, or how it ended."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainer.workers.launch import BAD_INPUT, blame, ending

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

_Object = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Pod:
    """A worker's pod as the API last described it."""

    name: str
    uid: str
    job: str  # uid of the Job that owns it
    index: int  # of the worker
    phase: str  # Pending, Running, Succeeded, Failed or Unknown
    node: str  # empty before the pod is scheduled
    grace: int | None  # seconds that the pod has to stop, once it is told to
    unplaced: bool  # the scheduler has found no node yet
    rejected: bool  # and makes no room on one; false for a pod that a queue holds back
    hopeless: bool  # the container waits for something that seldom comes, such as a missing image
    why_waiting: str  # in Kubernetes' words
    lost: bool  # Kubernetes takes it from its node
    code: int | None  # exit code of the container
    message: str  # termination message of the container
    finished: str  # when the container ended, as the API writes it; empty before
    end: str  # how the pod ended, as the predicate of a sentence
    retriable: bool  # the worker may succeed the next time
    gone: bool  # the pod was deleted since

    @classmethod
    def of(cls, found: _Object, gone: bool = False) -> "Pod":
        """Reads the API's object."""
        metadata, spec, status = found["metadata"], found["spec"], found["status"]
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        scheduled, disruption = conditions.get("PodScheduled", {}), conditions.get("DisruptionTarget", {})
        states = {container["name"]: container["state"] for container in status.get("containerStatuses") or ()}
        waiting, exited = (states.get(WORKER, {}).get(key) or {} for key in ("waiting", "terminated"))
        unplaced, code = scheduled.get("status") == "False", exited.get("exitCode")
        lost = status if status.get("reason") else disruption if disruption.get("status") == "True" else {}
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            job=next((owner["uid"] for owner in metadata.get("ownerReferences") or ()), ""),
            index=int(metadata["annotations"][INDEX_ANNOTATION]),
            phase=status.get("phase", ""),
            node=spec.get("nodeName") or "",
            grace=metadata.get("deletionGracePeriodSeconds", 0) if "deletionTimestamp" in metadata else None,
            unplaced=unplaced,
            rejected=unplaced and scheduled.get("reason") == "Unschedulable" and not status.get("nominatedNodeName"),
            hopeless=waiting.get("reason") in HOPELESS,
            why_waiting=_words(waiting if waiting.get("reason") else scheduled if unplaced else status),
            lost=bool(lost),
            code=code,
            message=exited.get("message") or "",
            finished=exited.get("finishedAt") or "",
            end=_end(lost, exited, spec),
            retriable=code != BAD_INPUT and exited.get("reason") not in CANNOT_RUN,
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
        """Whether the pod ended before the work was done. A pod that is gone did so in any phase."""
        return not self.succeeded and bool(self.gone or self.phase == "Failed" or self.code)

    @property
    def blame(self) -> int:
        """Ranks pods that failed together; the highest is the cause.

        A lost machine comes before all exit codes. A failed Job deletes its other pods, so a deleted pod comes last.
        """
        if self.lost:
            return 4
        return blame(self.code) if self.grace is None else 0


def _words(found: _Object) -> str:
    """Returns the reason and the message in `found`."""
    words = ": ".join(filter(None, (found.get("reason"), found.get("message"))))
    return words.rstrip(".") or "no reason is given"


def _end(lost: _Object, exited: _Object, spec: _Object) -> str:
    reason, code = exited.get("reason"), exited.get("exitCode")
    if lost:
        return f"was lost ({lost['reason']}): {lost.get('message', '')}"
    if reason == "OOMKilled":
        memory = next(c["resources"]["limits"]["memory"] for c in spec["containers"] if c["name"] == WORKER)
        return f"was killed (OOMKilled): it needs more memory than the limit of workers.pod in cluster.yaml, {memory}"
    if reason in CANNOT_RUN:
        return f"could not be started ({reason}): {exited.get('message', '')}"
    return "was deleted" if code is None else ending(code)
