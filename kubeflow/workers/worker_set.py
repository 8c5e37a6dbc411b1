"""The pods of one Job, followed until all have done their work or one has not."""

import logging
import signal
import time
from collections.abc import Sequence

from kubeflow.spec.cluster import Workers
from kubeflow.spec.contract import AGAIN
from kubeflow.workers.durations import Durations
from kubeflow.workers.kube_api import Api, Object
from kubeflow.workers.kube_errors import ApiError, TroubleError
from kubeflow.workers.lease import Lease
from kubeflow.workers.pod_log import PodLog
from kubeflow.workers.pod_status import End, end_of, has_started, has_succeeded, worker_index, worker_name
from kubeflow.workers.pod_watch import PodWatch, Seen
from kubeflow.workers.start import WorkerStart
from trainer.errors import InterruptError, ReportedError
from trainer.failure import Failure
from trainer.workers.launch import BAD_INPUT, STOPPED, TAIL_LINES, WorkerError, why_failed

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5  # between looks at signals and clocks; what happens to a pod is seen at once
JOB_SECONDS = 5.0  # between looks at the Job itself
SETTLE_SECONDS = 5.0  # after a worker's end, for what other machines have to say about theirs
LOST_SECONDS = 30.0  # beyond its grace that a pod gets to end, before its machine counts as lost
LOG_SECONDS = 10.0  # that the chief's last lines get to arrive


class LostError(Exception):
    """The workers have to start again; `error` is the one to raise if they may not."""

    def __init__(self, error: ReportedError) -> None:
        super().__init__(str(error))
        self.error = error


class WorkerSet:
    """The `count` pods of `job`, which another launcher started if it is `adopted`."""

    def __init__(
        self,
        api: Api,
        watch: PodWatch,
        signals: Sequence[int],
        job: Object,
        count: int,
        settings: Workers,
        adopted: bool,
    ) -> None:
        self._api, self._watch, self._signals = api, watch, signals
        self._job, self._uid = job, job["metadata"]["uid"]
        self._count, self._settings, self._adopted = count, settings, adopted
        self._start = WorkerStart(api, job["metadata"]["name"], count, settings.start_seconds)
        self._looked = time.monotonic()
        self._waits = Durations()
        self._log: PodLog | None = None

    def follow(self, lease: Lease) -> None:
        """Returns when all have done their work; keeps `lease` renewed until then.

        Raises:
          LostError: a worker was lost.
          UserError: a worker found a mistake of the user.
          WorkerError: the workers cannot be started, or take longer than they may.
          InterruptError: a signal came, or the Job was deleted.
        """
        try:
            lease.renew(self._job)  # of one that was adopted it may be short
            while not self._done():
                self._watch.wait(POLL_SECONDS)
                if self._signals:
                    raise InterruptError(self._signals[0])
                if lease.is_over():
                    raise self._too_long()
                lease.renew(self._job)
            if self._log:
                self._log.finish(LOG_SECONDS)
        except LostError:
            if lease.is_over():  # so Kubernetes ended the workers
                raise self._too_long() from None
            raise
        finally:
            if self._log:
                self._log.stop()

    def _done(self) -> bool:
        seen = self._watch.owned_by(self._uid)
        self._show_chief(seen)
        if len({worker_index(s.pod) for s in seen if has_succeeded(s.pod)}) == self._count:
            return True
        ends = [end for s in seen if (end := end_of(*s))]
        if ends:
            if self._waits.lasts("an end") > SETTLE_SECONDS or all(
                s.gone or end_of(*s) or has_succeeded(s.pod) for s in seen
            ):
                if self._job_done(ends):
                    return True
                raise self._failure(max(ends, key=lambda end: (end.blame, _reversed(end.finished))))
            return False
        self._start.check(seen)
        self._check_leaving(seen)
        if time.monotonic() - self._looked < JOB_SECONDS:
            return False
        self._looked = time.monotonic()
        return self._job_done(ends) and self._waits.lasts("what the pods say") > SETTLE_SECONDS

    def _show_chief(self, seen: list[Seen]) -> None:
        for s in seen:
            if self._log is None and worker_index(s.pod) == 0 and has_started(s.pod):
                self._log = PodLog(self._api, s.pod["metadata"]["name"])

    def _check_leaving(self, seen: list[Seen]) -> None:
        """Raises LostError if a pod was told to end and has not, long after its grace: its machine does not answer."""
        for pod, _ in seen:
            name, metadata = pod["metadata"]["name"], pod["metadata"]
            if not metadata.get("deletionTimestamp"):
                continue
            if f"{name} leaving" not in self._waits:
                log.info("%s is told to stop", self._name(worker_index(pod), name))
            if self._waits.lasts(f"{name} leaving") > metadata.get("deletionGracePeriodSeconds", 0) + LOST_SECONDS:
                node = pod["spec"].get("nodeName", "no node")
                raise LostError(
                    WorkerError(f"{self._name(worker_index(pod), name)} does not end: {node} may not answer any more")
                )

    def _job_done(self, ends: list[End]) -> bool:
        """Whether the Job says so.

        Raises:
          LostError: it failed, its lease ran out, or it was deleted with the launcher that had made it.
          InterruptError: it was deleted.
        """
        name = self._job["metadata"]["name"]
        job = self._api.get("Job", name)
        if job is None or job["metadata"]["uid"] != self._uid or job["metadata"].get("deletionTimestamp"):
            log.warning("the Job %s was deleted", name)
            if self._adopted:  # with the launcher that had made it
                raise LostError(InterruptError(signal.SIGTERM))
            raise InterruptError(signal.SIGTERM)
        self._job = job
        state = job_state(job)
        if state.get("reason") == "DeadlineExceeded":
            log.warning("the Job %s was ended by Kubernetes: its lease could not be renewed in time", name)
            raise LostError(WorkerError(f"the lease of the Job {name} ran out: expected the Kubernetes API to answer"))
        if state.get("type") == "Failed" and not ends and self._waits.lasts("a failed Job") > SETTLE_SECONDS:
            raise LostError(WorkerError(f"the Job {name} failed: {state.get('message')}"))
        return state.get("type") == "Complete"

    def _too_long(self) -> WorkerError:
        return WorkerError(
            f"the workers did not end within {self._settings.deadline_seconds} s, workers.deadline_seconds in "
            f"cluster.yaml; {AGAIN} goes on after their last checkpoint"
        )

    def _failure(self, end: End) -> Exception:
        """Why `end`, and what its worker said last."""
        try:
            lines = self._api.log_tail(end.pod, 10 * TAIL_LINES)
        except (ApiError, TroubleError):
            lines = []
        failure = Failure.from_json(end.words)
        lines = lines or ([] if failure else end.words.splitlines())
        name = self._name(end.worker, end.pod)
        error = why_failed(name, end.code, failure, f"{end.how}; its log ends:" if lines else end.how, lines)
        if end.code == BAD_INPUT or not end.again:
            return error
        log.warning("%s", f"{name} {end.how}" if end.code == STOPPED else error)  # of whose pod nothing will be left
        return LostError(error)

    def _name(self, index: int, pod: str) -> str:
        return worker_name(index, self._count, pod)


def job_state(job: Object) -> dict[str, str]:
    """The condition Complete or Failed of a Job; empty while it runs."""
    for condition in job["status"].get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return condition
    return {}


def _reversed(text: str) -> list[int]:
    """Orders texts backwards: of the same blame, the first to end."""
    return [-ord(letter) for letter in text]
