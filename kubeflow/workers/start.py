"""The start of all workers or none: the wait for their images and machines, over as many Jobs as it takes."""

import logging
from collections.abc import Callable, Sequence

from kubeflow.workers.clock import Durations
from kubeflow.workers.job import Job
from kubeflow.workers.kube_api import Api
from kubeflow.workers.kube_errors import ApiError
from kubeflow.workers.pod import Pod
from kubeflow.workers.quota import excess, is_full
from trainer.failure import Kind
from trainer.workers.launch import WorkerError

log = logging.getLogger(__name__)

HOPELESS_SECONDS = 30.0  # for a registry to recover
# For an autoscaler to promise a machine. Kubernetes' own looks every 10 s, and aims to decide within 60 s in big
# clusters; Karpenter collects pods for 10 s. An autoscaler that needs twice as long does not exist.
PLACE_SECONDS = 120.0
PROMISES = {"TriggeredScaleUp", "Nominated"}  # reasons of these two autoscalers' Events on the pod
REFUSED = "FailedCreate"  # reason of the Event on a Job whose pods are not created
PAUSE_SECONDS, MAX_PAUSE_SECONDS = 30.0, 600.0  # between two tries, on average; the first one, and the longest


class NoRoomError(Exception):
    """The cluster has no room for all workers now; `error` makes the one of a start that ends."""

    def __init__(self, sentence: str, value: str | int, why: str, remedy: str) -> None:
        super().__init__(f"{sentence}: {why}")
        self._sentence, self._value, self._why, self._remedy = sentence, value, why, remedy

    def error(self, tries: int, seconds: float) -> WorkerError:
        """Returns the error of a start that has been tried `tries` times, over `seconds`."""
        times = f"{tries} time{'s' if tries > 1 else ''}"
        sentence = f"{self._sentence}, tried {times} in {seconds:.0f} s: {self._why}"
        return WorkerError(sentence, value=self._value, remedy=self._remedy, cause=self._why)


class WorkerStart:
    """The start of `count` pods, which have `seconds` from now on, without the time in a queue.

    Two runs can hold machines that the other one needs. So a Job whose pods do not all find a machine ends and gives
    its machines back. The next one follows after a pause, which grows, and is random: otherwise two runs try at the
    same moments for ever. `uniform` draws a float between two.
    """

    def __init__(self, api: Api, count: int, seconds: int, uniform: Callable[[float, float], float]) -> None:
        self._api, self._count, self._seconds, self._uniform = api, count, seconds, uniform
        self._spent, self._seen = 0.0, api.clock.monotonic()  # seconds, and when they were last added up
        self._waits = Durations(api.clock)
        self._tries = 0  # that found no room
        self._promised: set[str] = set()  # uids of pods for which an autoscaler adds a machine
        self._explained: set[str] = set()  # uids of Jobs whose missing pods were looked into
        self._told = False  # a pod without a machine was logged
        self._blind = False  # the launcher may not read Events

    def check(self, job: Job, pods: Sequence[Pod]) -> None:
        """Checks the pods of `job` that have been created. Logs the first one without a machine.

        Raises:
          NoRoomError: the cluster has no room for all pods now.
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
                raise self._no_machine(pod, sum(other.unplaced for other in waiting))
        missing = self._waits.held(f"{job.uid} incomplete", len(pods) < self._count)
        if missing > PLACE_SECONDS and job.uid not in self._explained:
            self._explained.add(job.uid)
            self._check_refusal(job, len(pods))
        if self._elapsed() >= self._seconds:
            self._give_up(job, waiting, len(pods))

    def pause(self, full: NoRoomError) -> float:
        """Returns the seconds until the next try.

        Raises:
          WorkerError: the start would be over by then.
        """
        mean = min(PAUSE_SECONDS * 2**self._tries, MAX_PAUSE_SECONDS)
        pause, elapsed = self._uniform(0.5 * mean, 1.5 * mean), self._elapsed()
        self._tries += 1
        if elapsed + pause >= self._seconds:
            raise full.error(self._tries, elapsed) from None
        return pause

    def queued(self) -> None:
        """Leaves out the time since the last look: the Job waits in a queue, which has its own limit."""
        self._seen = self._api.clock.monotonic()

    def _elapsed(self) -> float:
        now = self._api.clock.monotonic()
        self._spent, self._seen = self._spent + now - self._seen, now
        return self._spent

    def _no_machine(self, pod: Pod, count: int) -> NoRoomError:
        sentence = f"no machine for {count} of {self._count} workers"
        less = "Request less in workers.pod of cluster.yaml, add machines, raise workers.start_seconds"
        return NoRoomError(sentence, pod.name, pod.why_waiting, f"{less}, or run again when other runs have ended")

    def _is_promised(self, pod: Pod) -> bool:
        """Whether an autoscaler has promised a machine for this pod. True if the launcher may not read Events."""
        if pod.uid in self._promised:
            return True
        promises = self._events(pod.uid, PROMISES)
        if promises is None:
            return True
        if promises:
            log.info("an autoscaler adds a machine for %s: %s", pod.worker(self._count), promises[-1])
            self._promised.add(pod.uid)
        return bool(promises)

    def _check_refusal(self, job: Job, created: int) -> None:
        """Raises an error if Kubernetes refuses to create the Job's pods; a Job that a queue holds has none either."""
        refusals = self._events(job.uid, {REFUSED})
        if not refusals:
            return
        why, namespace = refusals[-1], self._api.namespace
        sentence = f"Kubernetes has created {created} of {self._count} pods"
        if large := excess(why, self._count):
            raise WorkerError(
                f"the workers together need more {large.resource} than the quota {large.quota} has",
                value=f"{self._count} times {large.pod}",
                valid=f"at most {large.limit}",
                remedy="Request less in workers.pod of cluster.yaml, start fewer workers, or raise the quota",
                cause=why,
                kind=Kind.BAD_INPUT,
            )
        if "is forbidden" in why and not is_full(why):
            remedy = f"Change workers.pod in cluster.yaml, or what namespace {namespace} allows"
            raise WorkerError(f"{sentence}: {why}", value=created, remedy=remedy, cause=why, kind=Kind.BAD_INPUT)
        remedy = f"Make room in the quota of namespace {namespace}, or raise workers.start_seconds in cluster.yaml"
        raise NoRoomError(sentence, created, why, remedy)

    def _events(self, uid: str, reasons: set[str]) -> list[str] | None:
        """Returns the messages of Events about an object; None if the launcher may not read them."""
        if self._blind:
            return None
        try:
            return [event["message"] for event in self._api.list_events(uid) if event["reason"] in reasons]
        except ApiError as error:
            if error.status != 403:
                raise
            log.info("cannot read Events, so waiting the full %d s for machines: %s", self._seconds, error)
            self._blind = True
            return None

    def _give_up(self, job: Job, waiting: Sequence[Pod], created: int) -> None:
        """Raises WorkerError unless all pods have started."""
        if waiting:
            first = min(waiting, key=lambda pod: pod.index)
            sentence = f"{first.worker(self._count)} has not started within {self._seconds} s"
            raise _waiting(first, sentence, "Raise workers.start_seconds in cluster.yaml if the cluster needs longer")
        if created < self._count:
            sentence = f"Kubernetes has created {created} of {self._count} pods within {self._seconds} s"
            room = f"Make room in the quota of namespace {self._api.namespace}"
            raise WorkerError(sentence, value=created, remedy=f"{room}; `kubectl describe job {job.name}` says more")


def _waiting(pod: Pod, sentence: str, remedy: str) -> WorkerError:
    """Returns the error of a pod that still waits, with Kubernetes' reason."""
    return WorkerError(f"{sentence}: {pod.why_waiting}", value=pod.name, remedy=remedy, cause=pod.why_waiting)
