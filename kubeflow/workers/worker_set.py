"""The pods of one Job, followed until all have done their work or one has failed."""

import logging
import signal
from collections.abc import Sequence

from kubeflow.spec.cluster import Workers
from kubeflow.spec.contract import AGAIN
from kubeflow.workers.clock import Durations
from kubeflow.workers.job import Job
from kubeflow.workers.kube_api import Api
from kubeflow.workers.kube_errors import ApiError
from kubeflow.workers.lease import Lease
from kubeflow.workers.pod import Pod
from kubeflow.workers.pod_log import PodLog
from kubeflow.workers.pod_watch import PodWatch
from kubeflow.workers.queue import QueueWait
from kubeflow.workers.start import WorkerStart
from trainer.errors import InterruptError, ReportedError
from trainer.failure import Failure
from trainer.workers.launch import STOPPED, TAIL_LINES, WorkerError, why_failed

log = logging.getLogger(__name__)

# Between checks of signals and clocks. A Trainer's pod has a second at most between SIGTERM and its end, in which it
# deletes the Job.
POLL_SECONDS = 0.1
JOB_SECONDS = 5.0  # between checks of the Job itself
SETTLE_SECONDS = 5.0  # after a worker's end, for other machines to report theirs
LOST_SECONDS = 30.0  # beyond its grace for a pod to stop, after which its machine counts as lost
LOG_SECONDS = 10.0  # for the chief's last lines to arrive


class LostError(Exception):
    """A worker was lost, so all have to start again; `error` is the one to raise if they may not."""

    def __init__(self, error: ReportedError) -> None:
        super().__init__(str(error))
        self.error = error


class WorkerSet:
    """The `count` pods of `job`. `adopted`: another launcher created it."""

    def __init__(
        self, api: Api, watch: PodWatch, job: Job, start: WorkerStart, count: int, settings: Workers, adopted: bool
    ) -> None:
        self._api, self._watch, self._job, self._start = api, watch, job, start
        self._count, self._settings, self._adopted = count, settings, adopted
        self._queue = QueueWait(api, job, settings.queue_seconds)
        self._released = False  # the Job is, or was, out of its queue
        self._checked = api.clock.monotonic()
        self._waits = Durations(api.clock)
        self._log: PodLog | None = None

    def follow(self, lease: Lease) -> None:
        """Returns when all have done their work; renews `lease` until then.

        Raises:
          LostError: a worker was lost.
          NoRoomError: the cluster has no room for all of them now.
          UserError: a worker found bad input.
          WorkerError: the workers cannot be started, wait too long in a queue, or exceed their deadline.
          InterruptError: a signal came, or the Job was deleted.
        """
        try:
            lease.renew(self._job)  # an adopted Job may end soon
            while not self._done():
                self._watch.wait(POLL_SECONDS)
                self._api.pause(0)  # which raises if a signal came
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
        if self._job.suspended:
            self._wait_in_queue()
            return False
        self._released = True
        pods = self._watch.owned_by(self._job.uid)
        for pod in pods:
            if self._log is None and pod.index == 0 and pod.started:
                self._log = PodLog(self._api, pod.name)
        if len({pod.index for pod in pods if pod.succeeded}) == self._count:
            return True
        failed = [pod for pod in pods if pod.failed]
        if failed:
            if self._waits.held("an end") <= SETTLE_SECONDS and not all(pod.succeeded or pod.failed for pod in pods):
                return False
            if self._job_done(failed):
                return True
            if self._job.suspended:
                self._wait_in_queue()
            raise self._failure(min(failed, key=lambda pod: (-pod.blame, pod.finished or "unknown")))
        self._start.check(self._job, pods)
        self._check_stopping(pods)
        if self._api.clock.monotonic() - self._checked < JOB_SECONDS:
            return False
        self._checked = self._api.clock.monotonic()
        return self._job_done(failed) and self._waits.held("a complete Job") > SETTLE_SECONDS

    def _wait_in_queue(self) -> None:
        """Checks the wait of a suspended Job.

        Raises:
          LostError: its workers had started, so the queue took their machines back.
          WorkerError: the wait is too long.
        """
        if self._released:
            error = WorkerError(f"the queue of the Job {self._job.name} took its machines back")
            log.warning("%s", error)
            raise LostError(error)
        if self._api.clock.monotonic() - self._checked >= JOB_SECONDS:
            self._checked = self._api.clock.monotonic()
            self._job_done([])
        if self._job.suspended:
            self._start.queued()
            self._queue.check()

    def _check_stopping(self, pods: Sequence[Pod]) -> None:
        """Raises LostError if a pod still exists long after its grace: its machine may be down."""
        for pod in pods:
            if pod.grace is None:
                continue
            if pod.name not in self._waits:
                log.info("%s was told to stop", pod.worker(self._count))
            if self._waits.held(pod.name) > pod.grace + LOST_SECONDS:
                error = WorkerError(f"{pod.worker(self._count)} does not stop: its node {pod.node} may be down")
                raise LostError(error)

    def _job_done(self, failed: Sequence[Pod]) -> bool:
        """Whether the Job is complete.

        Raises:
          LostError: it failed, its lease ran out, or it was deleted with the launcher that had created it.
          InterruptError: it was deleted.
        """
        name = self._job.name
        job = self._api.get_job(name)
        if job is None or job.uid != self._job.uid or job.deleting:
            log.warning("the Job %s was deleted", name)
            if self._adopted:
                raise LostError(InterruptError(signal.SIGTERM))
            raise InterruptError(signal.SIGTERM)
        self._job = job
        if job.reason == "DeadlineExceeded":
            log.warning("Kubernetes ended the Job %s: its lease was not renewed in time", name)
            remedy = "Check that the Kubernetes API answers"
            raise LostError(WorkerError(f"the lease of the Job {name} ran out", remedy=remedy))
        if job.state == "Failed" and not failed and self._waits.held("a failed Job") > SETTLE_SECONDS:
            raise LostError(WorkerError(f"the Job {name} failed: {job.message}", cause=job.message))
        return job.state == "Complete"

    def _too_long(self) -> WorkerError:
        seconds = self._settings.deadline_seconds
        sentence = f"the workers did not end within {seconds} s, workers.deadline_seconds in cluster.yaml"
        remedy = f"{AGAIN[0].upper()}{AGAIN[1:]} resumes after their last checkpoint"
        return WorkerError(sentence, value=seconds, remedy=remedy)

    def _failure(self, pod: Pod) -> Exception:
        """Returns the error of a failed worker, in a LostError if it may succeed the next time."""
        failure = Failure.from_json(pod.message)
        try:
            tail = self._api.log_tail(pod.name, TAIL_LINES)
        except ApiError:  # the pod is gone; the message is the end of its log if it left no failure
            tail = [] if failure else pod.message.splitlines()
        name = pod.worker(self._count)
        error = why_failed(name, pod.code, failure, f"{pod.end}; its log ends:" if tail else pod.end, tail)
        if not pod.retriable:
            return error
        log.warning("%s", f"{name} {pod.end}" if pod.code == STOPPED else error)  # the pod's own log will be gone
        return LostError(error)
