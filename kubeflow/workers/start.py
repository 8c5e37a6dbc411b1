"""How long pods that do not run yet are waited for: their images, their machines, and all together."""

import logging
import time
from collections.abc import Sequence

from kubeflow.workers.durations import Durations
from kubeflow.workers.kube_api import Api
from kubeflow.workers.kube_errors import ApiError
from kubeflow.workers.pod_status import Wait, wait_of, worker_name
from kubeflow.workers.pod_watch import Seen
from trainer.workers.launch import WorkerError

log = logging.getLogger(__name__)

HOPELESS_SECONDS = 30.0  # that a registry gets to answer after all
# That an autoscaler gets to say that it brings a machine. Kubernetes' own looks every 10 s, and means to decide within
# 60 s also in big clusters; Karpenter gathers pods for 10 s. Twice that is none that will.
PLACE_SECONDS = 120.0
PROMISES = {"TriggeredScaleUp", "Nominated"}  # reasons of the Events by which these two say so, on the pod


class WorkerStart:
    """Of the `count` pods of the Job `job`, which have `seconds` from now on."""

    def __init__(self, api: Api, job: str, count: int, seconds: int) -> None:
        self._api, self._job, self._count, self._seconds = api, job, count, seconds
        self._began = time.monotonic()
        self._waits = Durations()
        self._promised: set[str] = set()  # uids of pods to which an autoscaler brings a machine
        self._told = self._blind = False  # that one finds none; that the Events may not be read

    def check(self, seen: Sequence[Seen]) -> None:
        """Says once if a pod finds no machine: somebody may wait for one that nobody adds.

        Raises:
          WorkerError: a pod cannot start, or has not within the time that it has for that.
        """
        waits = [wait for s in seen if (wait := wait_of(s.pod))]
        for wait in waits:
            if not wait.placed and not self._told:
                self._told = True
                log.info("%s waits for a machine: %s", self._name(wait), wait.why)
            if self._waits.lasts(f"{wait.pod} hopeless", wait.hopeless) > HOPELESS_SECONDS:
                raise WorkerError(f"{self._name(wait)} cannot be started: {wait.why}")
            if self._waits.lasts(f"{wait.pod} refused", wait.refused) > PLACE_SECONDS and not self._may_find_one(wait):
                raise WorkerError(
                    f"{self._name(wait)} has no machine after {PLACE_SECONDS:.0f} s, and no autoscaler brings one: "
                    f"{wait.why.rstrip('.')}; ask for less in workers.pod of cluster.yaml, add machines, or run again "
                    "when other runs have ended"
                )
        if time.monotonic() - self._began >= self._seconds:
            self._give_up(waits, len(seen))

    def _may_find_one(self, wait: Wait) -> bool:
        """Whether an autoscaler has said that it brings a machine for this pod, or nobody may read what it says."""
        if self._blind or wait.uid in self._promised:
            return True
        try:
            said = [event for event in self._api.list_events(wait.uid) if event["reason"] in PROMISES]
        except ApiError as error:
            if error.status != 403:
                raise
            log.info(
                "nobody says whether an autoscaler brings machines, so all %d s are waited: %s", self._seconds, error
            )
            self._blind = True
            return True
        if said:
            log.info("%s gets a machine, says an autoscaler: %s", self._name(wait), said[-1]["message"])
            self._promised.add(wait.uid)
        return bool(said)

    def _give_up(self, waits: Sequence[Wait], made: int) -> None:
        """Raises WorkerError if not all run."""
        if waits:
            first = min(waits, key=lambda wait: wait.worker)
            raise WorkerError(f"{self._name(first)} has not started within {self._seconds} s: {first.why}")
        if made < self._count:
            raise WorkerError(
                f"Kubernetes has made {made} of {self._count} pods within {self._seconds} s: expected room for them in "
                f"the quota of namespace {self._api.namespace}; `kubectl describe job {self._job}` says more"
            )

    def _name(self, wait: Wait) -> str:
        return worker_name(wait.worker, self._count, wait.pod)
