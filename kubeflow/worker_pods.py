"""The launcher of a training whose workers are pods of a Kubernetes cluster."""

import logging
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from kubeflow.cluster import Cluster
from kubeflow.kube_api import Api, Object, connect
from kubeflow.pod_watch import PodWatch
from kubeflow.worker_manifests import (
    FINGERPRINT,
    GRACE_SECONDS,
    INSTANCE,
    Owner,
    job_manifest,
    job_name,
    service_manifest,
)
from kubeflow.worker_set import LostError, WorkerSet, job_state
from trainer.errors import InterruptError, ReportedError
from trainer.interrupt import signals_noted
from trainer.launch import Launch, WorkerError

log = logging.getLogger(__name__)

GONE_SECONDS = 1.0  # between looks whether something is gone
PATIENCE_SECONDS = 300.0  # with an API that does not answer, or only with errors that pass
CLEAN_UP_SECONDS = 15.0  # the same at the end, in a pod that may have been told to stop


def launch_pods(cluster: Cluster, client: Any = None) -> Launch:
    """Launches like `trainer.launch.launch_local`, but pods of `cluster`; `client` is how to reach it, if not as usual.

    The pods see the folder of the job under the same path as this process. The chief's log is logged here, line by
    line. When a worker is lost all start again, up to `workers.restarts` times, and go on after their last checkpoint.
    A launcher that starts while the workers of an earlier one are at the same job goes on following those. In the end
    nothing is left of them in the cluster; if this process is killed, they end with its pod, or at their deadline.

    The launcher raises:
      UserError: less than one worker; a worker found a mistake of the user; no cluster.
      WorkerError: a worker cannot be started or was lost too often; its name, its end and its last lines.
      ApiError: the Kubernetes API does not let it, or not any more.
      InterruptError: SIGINT or SIGTERM came, here or, too often, to a worker, or somebody deleted the Job. The workers
        have time to save a checkpoint.
    """

    def launch(folder: str, workers: int) -> None:
        with signals_noted() as signals:
            api = Api(client or connect(), cluster.namespace, PATIENCE_SECONDS, signals)
            _Training(cluster, api, signals, folder, workers).run()

    return launch


class _Training:
    """Jobs, one after the other, until one of them has done the work in `folder`."""

    def __init__(self, cluster: Cluster, api: Api, signals: Sequence[int], folder: str, workers: int) -> None:
        self._cluster, self._api, self._signals = cluster, api, signals
        self._folder, self._workers, self._name = folder, workers, job_name(folder)
        job_manifest(cluster, self._name, folder, workers, None)  # raises before anything is done
        self._watch = PodWatch(api, f"{INSTANCE}={self._name}")

    def run(self) -> None:
        owner = find_owner(self._api)
        job = job_manifest(self._cluster, self._name, self._folder, self._workers, owner)
        service = service_manifest(self._cluster, self._name, owner)
        deadline = time.monotonic() + self._cluster.workers.deadline_seconds
        try:
            self._watch.start()
            restarts = 0
            while not self._attempt(job, service, deadline, restarts):
                restarts += 1
                self._remove()
        except InterruptError:
            log.info("stopping; the workers have %d s to save what they have", GRACE_SECONDS)
            raise
        finally:
            self._watch.stop()
            self._clean_up()

    def _attempt(self, job: Object, service: Object, deadline: float, restarts: int) -> bool:
        """Whether the work is done; if not, it is worth another attempt."""
        there, adopted = self._start(job, service)
        if there is None:
            return True
        allowed = self._cluster.workers.restarts
        try:
            WorkerSet(
                self._api, self._watch, self._signals, there, self._workers, self._cluster.workers, adopted
            ).follow(deadline)
        except LostError as lost:
            if restarts == allowed:
                raise lost.error from None
            log.warning("starting all workers again, time %d of at most %d", restarts + 1, allowed)
            return False
        return True

    def _start(self, job: Object, service: Object) -> tuple[Object | None, bool]:
        """The Job at work, None if it has done its work, and whether another launcher made it."""
        while True:
            there = self._api.get("Job", self._name)
            if there and _same(there, job):
                state = job_state(there).get("type")
                if state == "Complete" and os.path.exists(os.path.join(self._folder, "weights.index")):
                    log.info("the Job %s has done this already", self._name)
                    return None, True
                if not state:
                    log.info("following the Job %s, which is at work on this already", self._name)
                    return there, True
            self._remove()
            self._api.delete("Service", self._name, "Background")  # it may belong to a pod that is about to go
            if self._api.create(service) and (made := self._api.create(job)):
                log.info("started the Job %s of %d pods", self._name, self._workers)
                return made, False
            self._api.pause(GONE_SECONDS)  # somebody was quicker, or our own request, of which we got no answer

    def _remove(self) -> None:
        """Removes the Job and waits for the end of its pods, which would go on writing.

        Raises:
          WorkerError: one does not end.
        """
        end = time.monotonic() + self._cluster.workers.start_seconds
        self._api.delete("Job", self._name, "Foreground")
        while True:
            pods, _ = self._api.list_pods(f"{INSTANCE}={self._name}")
            if not pods and self._api.get("Job", self._name) is None:
                return
            if time.monotonic() > end:
                names = ", ".join(f"{pod['metadata']['name']} on {pod['spec'].get('nodeName')}" for pod in pods)
                raise WorkerError(
                    f"the Job {self._name} is not gone {self._cluster.workers.start_seconds} s after it was deleted: "
                    f"expected the end of its pods ({names or 'none is left'}): if their machine is lost, delete its "
                    "node from the cluster, and run again"
                )
            self._api.pause(GONE_SECONDS)

    def _clean_up(self) -> None:
        api = Api(self._api.client, self._api.namespace, CLEAN_UP_SECONDS)
        for kind in ("Job", "Service"):
            try:
                api.delete(kind, self._name, "Background")
            except ReportedError as error:
                log.warning("the %s %s is left in the cluster: %s", kind, self._name, error)


def find_owner(api: Api) -> Owner | None:
    """The pod of this process, if it is in the namespace of `api`: Kubernetes removes what has no owner there."""
    name = os.environ.get("POD_NAME") or os.environ.get("KFP_POD_NAME") or socket.gethostname()
    uid = os.environ.get("POD_UID") or os.environ.get("KFP_POD_UID")
    pod = api.get("Pod", name)
    if pod and uid in (None, pod["metadata"]["uid"]):
        return Owner(name, pod["metadata"]["uid"])
    log.info(
        "this is no pod of namespace %s: should this process be killed, the workers go on until they are done",
        api.namespace,
    )
    return None


def _same(there: Object, job: Object) -> bool:
    """Whether `there`, if it is not about to go, is what `job` would make."""
    one, other = there["metadata"], job["metadata"]
    same = one.get("annotations", {}).get(FINGERPRINT) == other["annotations"][FINGERPRINT]
    return same and not one.get("deletionTimestamp")
