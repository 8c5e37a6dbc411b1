"""The launcher of a training whose workers are pods of a Kubernetes cluster."""

import glob
import logging
import os
import random
from collections.abc import Callable, Sequence
from typing import Any

from kubeflow.spec.cluster import DAY, Cluster
from kubeflow.workers.clock import Clock
from kubeflow.workers.job import FINGERPRINT, Job
from kubeflow.workers.kube_api import Api, connect
from kubeflow.workers.lease import Lease
from kubeflow.workers.manifests import (
    GRACE_SECONDS,
    INSTANCE,
    job_manifest,
    job_name,
    policy_manifest,
    service_manifest,
)
from kubeflow.workers.owner import find_owner
from kubeflow.workers.pod import Pod
from kubeflow.workers.pod_watch import PodWatch
from kubeflow.workers.start import NoRoomError, WorkerStart
from kubeflow.workers.worker_set import LostError, WorkerSet
from trainer.errors import InterruptError, ReportedError
from trainer.interrupt import signals_noted
from trainer.workers.launch import Launch, WorkerError

log = logging.getLogger(__name__)

GONE_SECONDS = 1.0  # between checks whether an old object is gone
PATIENCE_SECONDS = 300.0  # with transient errors of the API
RANDOM = random.SystemRandom()  # which no seed of a training makes the same in two runs
CLEAN_UP_SECONDS = 15.0  # the same at the end, in a pod that may have been told to stop


def launch_pods(
    cluster: Cluster,
    client: Any = None,
    clock: Clock | None = None,
    uniform: Callable[[float, float], float] = RANDOM.uniform,
) -> Launch:
    """Returns a launcher like `launch_local` that starts pods of `cluster`; tests pass all but the first argument.

    The pods see the folder of the job under the same path as this process. The chief's log is logged here, line by
    line. All workers start or none: a Job that finds too few machines gives them back and is tried again, for
    `workers.start_seconds`. When a worker is lost, all start again after their last checkpoint, up to
    `workers.restarts` times without a new one and `workers.daily_restarts` times within 24 hours. If workers of an
    earlier launcher run the same job, this one follows them. At the end, and when it is told to stop, it deletes the
    Job; if it cannot, the Job ends with its lease.

    The launcher raises:
      UserError: fewer than one worker; a worker found bad input; no cluster.
      WorkerError: a worker cannot be started, or was lost too often; says its name and its failure, or its end and
        the last lines of its log.
      ApiError: the Kubernetes API refuses, or does not recover.
      InterruptError: SIGINT or SIGTERM came, here or, too often, to a worker, or somebody deleted the Job. The workers
        have time to save a checkpoint.
    """

    def launch(folder: str, workers: int) -> None:
        with signals_noted() as signals:
            api = Api(client or connect(), cluster.namespace, PATIENCE_SECONDS, clock or Clock(), signals)
            _Training(cluster, api, folder, workers, uniform).run()

    return launch


class _Training:
    """Jobs, one after the other, until one of them has done the work in `folder`."""

    def __init__(
        self, cluster: Cluster, api: Api, folder: str, workers: int, uniform: Callable[[float, float], float]
    ) -> None:
        self._cluster, self._api, self._uniform = cluster, api, uniform
        self._folder, self._workers, self._name = folder, workers, job_name(folder)
        job_manifest(cluster, self._name, folder, workers, None)  # raises before any request
        self._manifest = job_manifest(cluster, self._name, folder, workers, find_owner(api))
        self._selector = f"{INSTANCE}={self._name}"
        self._end = api.clock.time() + cluster.workers.deadline_seconds
        self._job: Job | None = None  # the last one that was followed, and the only one to delete at the end
        self._start: WorkerStart | None = None  # the current one; None before it and after a loss
        self._restarts, self._checkpoint = 0, newest_checkpoint(folder)
        self._losses: list[float] = []  # times of the last day's

    def run(self) -> None:
        watch = PodWatch(self._api, self._selector)
        try:
            while not self._attempt(watch):
                pass
        except InterruptError:
            log.info("stopping; the workers have %d s to save a checkpoint", GRACE_SECONDS)
            raise
        finally:
            watch.stop()
            self._clean_up()

    def _attempt(self, watch: PodWatch) -> bool:
        """Whether the work is done; if not, another attempt may do it."""
        job, adopted = self._create()
        if job is None:
            return True
        settings = self._cluster.workers
        if self._start is None:
            self._start = WorkerStart(self._api, self._workers, settings.start_seconds, self._uniform)
        workers = WorkerSet(self._api, watch, job, self._start, self._workers, settings, adopted)
        try:
            workers.follow(Lease(self._api, self._end))
        except NoRoomError as full:
            self._give_back(job)
            pause = self._start.pause(full)
            log.warning("%s; gave the machines back, trying again in %.0f s", full, pause)
            self._api.pause(pause)
            return False
        except LostError as lost:
            self._start = None
            self._count_restart(lost)
            return False
        return True

    def _give_back(self, job: Job) -> None:
        """Deletes the Job, and returns when its pods are gone and their machines free.

        A worker that waits for the others does not hear SIGTERM, so this can take the pods' whole grace.

        Raises:
          WorkerError: its pods do not go away.
        """
        self._api.delete_job(job, "Foreground")
        give_up = self._api.clock.monotonic() + self._cluster.workers.start_seconds
        while pods := [pod for pod in self._api.list_pods(self._selector)[0] if pod.job == job.uid]:
            if self._api.clock.monotonic() > give_up:
                raise self._not_gone("Job", pods)
            self._api.pause(GONE_SECONDS)

    def _count_restart(self, lost: LostError) -> None:
        """Raises the error in `lost` if the workers may not start again.

        A training that saves a checkpoint between its losses may lose a worker now and then, for weeks; but not all the
        time, because each start costs a minute for a few steps.
        """
        newest, now, settings = newest_checkpoint(self._folder), self._api.clock.monotonic(), self._cluster.workers
        self._restarts = self._restarts + 1 if newest == self._checkpoint else 1
        self._checkpoint = newest
        self._losses = [loss for loss in self._losses if now - loss < DAY] + [now]
        if self._restarts > settings.restarts or len(self._losses) > settings.daily_restarts:
            raise lost.error from None
        log.warning(
            "starting all workers again, time %d of at most %d without a new checkpoint, %d of at most %d in 24 hours",
            self._restarts,
            settings.restarts,
            len(self._losses),
            settings.daily_restarts,
        )

    def _create(self) -> tuple[Job | None, bool]:
        """Returns the running Job, None if it has done its work, and whether another launcher created it.

        A Job that cannot be followed, such as the lost one, is removed first. The new one waits for the end of the old
        pods, which would continue to write.

        Raises:
          WorkerError: the old Job or its pods do not go away.
        """
        clock, lost = self._api.clock, self._job
        give_up = clock.monotonic() + self._cluster.workers.start_seconds
        while True:
            job = self._api.get_job(self._name)
            if job and not (lost and job.uid == lost.uid) and self._is_ours(job):
                if job.state == "Complete" and os.path.exists(os.path.join(self._folder, "weights")):
                    log.info("the Job %s has already done this work", self._name)
                    self._job = job
                    return None, True
                if not job.state:
                    return self._adopt(job), True
            if job and not job.deleting:
                self._api.delete_job(job, "Foreground")
            pods, _ = self._api.list_pods(self._selector)
            if not job and not pods and (created := self._api.create_job(self._manifest)):
                return self._serve(created, give_up), False
            if clock.monotonic() > give_up:
                raise self._not_gone("Job", pods)
            self._api.pause(GONE_SECONDS)  # also if another launcher, or a request of ours that timed out, created one

    def _is_ours(self, job: Job) -> bool:
        """Whether the Job is what this launcher would create, and stays."""
        return job.fingerprint == self._manifest["metadata"]["annotations"][FINGERPRINT] and not job.deleting

    def _adopt(self, job: Job) -> Job:
        log.info("following the Job %s, which is already running", self._name)
        self._job = job
        self._end = min(self._end, job.created + self._cluster.workers.deadline_seconds)
        # The previous launcher may have died before creating them.
        self._api.create_policy(policy_manifest(self._cluster, self._name, job.uid))
        self._api.create_service(service_manifest(self._cluster, self._name, job.uid))
        return job

    def _serve(self, job: Job, give_up: float) -> Job:
        """Creates the NetworkPolicy and then the Service of a new Job; without the Service, workers find nobody."""
        self._job, api = job, self._api
        policy = policy_manifest(self._cluster, self._name, job.uid)
        service = service_manifest(self._cluster, self._name, job.uid)
        self._replace("NetworkPolicy", api.delete_policy, api.create_policy, policy, give_up)
        self._replace("Service", api.delete_service, api.create_service, service, give_up)
        log.info("started the Job %s of %d pods", self._name, self._workers)
        return job

    def _replace(
        self,
        kind: str,
        delete: Callable[[str], None],
        create: Callable[[dict[str, Any]], bool],
        manifest: dict[str, Any],
        give_up: float,
    ) -> None:
        """Creates an object of the new Job in place of an old Job's, which Kubernetes may be about to delete."""
        while True:
            delete(self._name)
            if create(manifest):
                return
            if self._api.clock.monotonic() > give_up:
                raise self._not_gone(kind, [])
            self._api.pause(GONE_SECONDS)

    def _not_gone(self, kind: str, pods: Sequence[Pod]) -> WorkerError:
        remedy = "Check for a finalizer, or for another process that recreates it"
        if pods:
            names = " and ".join(f"{pod.name} on {pod.node}" for pod in pods)
            remedy = f"If the machine of {names} is lost, delete its node from the cluster, and run again"
        value, seconds = f"{kind} {self._name}", self._cluster.workers.start_seconds
        return WorkerError(f"the {value} still exists {seconds} s after its deletion", value=value, remedy=remedy)

    def _clean_up(self) -> None:
        """Deletes the Job and its dependents, unless another Job has taken its name."""
        if not self._job:
            return
        try:
            api = Api(self._api.client, self._api.namespace, CLEAN_UP_SECONDS, self._api.clock)
            api.delete_job(self._job, "Background")
        except ReportedError as error:
            log.warning("the Job %s is left in the cluster, where it ends with its lease: %s", self._name, error)


def newest_checkpoint(folder: str) -> str:
    """Returns the newest checkpoint of the job in `folder`, which is beside it; empty if there is none."""
    return max(glob.glob(os.path.join(glob.escape(os.path.dirname(folder)), "step-*")), default="")
