"""The wait for pods that do not run yet: for their images, for their machines, and in total."""

import logging
from collections.abc import Sequence

from kubeflow.workers.clock import Durations
from kubeflow.workers.kube_api import Api
from kubeflow.workers.kube_errors import ApiError
from kubeflow.workers.pod import Pod
from trainer.workers.launch import WorkerError

log = logging.getLogger(__name__)

HOPELESS_SECONDS = 30.0  # for a registry to recover
# For an autoscaler to promise a machine. Kubernetes' own looks every 10 s, and aims to decide within 60 s in big
# clusters; Karpenter collects pods for 10 s. An autoscaler that needs twice as long does not exist.
PLACE_SECONDS = 120.0
PROMISES = {"TriggeredScaleUp", "Nominated"}  # reasons of these two autoscalers' Events on the pod


class WorkerStart:
    """The start of the `count` pods of the Job `job`, which have `seconds` from now on."""

    def __init__(self, api: Api, job: str, count: int, seconds: int) -> None:
        self._api, self._job, self._count, self._seconds = api, job, count, seconds
        self._began = api.clock.monotonic()
        self._waits = Durations(api.clock)
        self._promised: set[str] = set()  # uids of pods for which an autoscaler adds a machine
        self._told = False  # a pod without a machine was logged
        self._blind = False  # the launcher may not read Events

    def check(self, pods: Sequence[Pod]) -> None:
        """Checks the pods that have been created. Logs the first one without a machine: somebody may have to add one.

        Raises:
          WorkerError: a pod cannot start, or has not started in time.
        """
        waiting = [pod for pod in pods if not pod.started]
        for pod in waiting:
            name = pod.worker(self._count)
            if pod.unplaced and not self._told:
                self._told = True
                log.info("%s waits for a machine: %s", name, pod.why_waiting)
            if self._waits.held(f"{pod.name} hopeless", pod.hopeless) > HOPELESS_SECONDS:
                raise _waiting(pod, f"{name} cannot be started", "Check image and workers.pod in cluster.yaml")
            if self._waits.held(f"{pod.name} rejected", pod.rejected) > PLACE_SECONDS and not self._is_promised(pod):
                sentence = f"{name} has no machine after {PLACE_SECONDS:.0f} s, and no autoscaler adds one"
                less = "Request less in workers.pod of cluster.yaml"
                raise _waiting(pod, sentence, f"{less}, add machines, or run again when other runs have ended")
        if self._api.clock.monotonic() - self._began >= self._seconds:
            self._give_up(waiting, len(pods))

    def _is_promised(self, pod: Pod) -> bool:
        """Whether an autoscaler has promised a machine for this pod. True if the launcher may not read Events."""
        if self._blind or pod.uid in self._promised:
            return True
        try:
            promises = [event for event in self._api.list_events(pod.uid) if event["reason"] in PROMISES]
        except ApiError as error:
            if error.status != 403:
                raise
            log.info("cannot read Events, so waiting the full %d s for machines: %s", self._seconds, error)
            self._blind = True
            return True
        if promises:
            log.info("an autoscaler adds a machine for %s: %s", pod.worker(self._count), promises[-1]["message"])
            self._promised.add(pod.uid)
        return bool(promises)

    def _give_up(self, waiting: Sequence[Pod], created: int) -> None:
        """Raises WorkerError unless all pods have started."""
        if waiting:
            first = min(waiting, key=lambda pod: pod.index)
            sentence = f"{first.worker(self._count)} has not started within {self._seconds} s"
            raise _waiting(first, sentence, "Raise workers.start_seconds in cluster.yaml if the cluster needs longer")
        if created < self._count:
            sentence = f"Kubernetes has created {created} of {self._count} pods within {self._seconds} s"
            room = f"Make room in the quota of namespace {self._api.namespace}"
            raise WorkerError(sentence, value=created, remedy=f"{room}; `kubectl describe job {self._job}` says more")


def _waiting(pod: Pod, sentence: str, remedy: str) -> WorkerError:
    """Returns the error of a pod that still waits, with Kubernetes' reason."""
    return WorkerError(f"{sentence}: {pod.why_waiting}", value=pod.name, remedy=remedy, cause=pod.why_waiting)
