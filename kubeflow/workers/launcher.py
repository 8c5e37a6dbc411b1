"""The launcher of a training whose workers are pods of a Kubernetes cluster."""

import glob
import logging
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from kubeflow.spec.cluster import Cluster
from kubeflow.workers.kube_api import Api, Object, connect
from kubeflow.workers.lease import Lease, made_at
from kubeflow.workers.manifests import (
    FINGERPRINT,
    GRACE_SECONDS,
    INSTANCE,
    Owner,
    job_manifest,
    job_name,
    service_manifest,
)
from kubeflow.workers.pod_watch import PodWatch
from kubeflow.workers.worker_set import LostError, WorkerSet, job_state
from trainer.errors import InterruptError, ReportedError
from trainer.interrupt import signals_noted
from trainer.workers.launch import Launch, WorkerError

log = logging.getLogger(__name__)

GONE_SECONDS = 1.0  # between looks whether something is gone
PATIENCE_SECONDS = 300.0  # with an API that does not answer, or only with errors that pass
CLEAN_UP_SECONDS = 15.0  # the same at the end, in a pod that may have been told to stop


def launch_pods(cluster: Cluster, client: Any = None) -> Launch:
    """Makes a launcher like `launch_local` that starts pods of `cluster`; `client` reaches the cluster in tests.

    The pods see the folder of the job under the same path as this process. The chief's log is logged here, line by
    line. When a worker is lost all start again and go on after their last checkpoint, up to `workers.restarts` times
    without a new one. A launcher that starts while the workers of an earlier one are at the same job goes on following
    those. In the end nothing is left of them in the cluster; if this process is killed, they end with their lease.

    The launcher raises:
      UserError: less than one worker; a worker found a mistake of the user; no cluster.
      WorkerError: a worker cannot be started, or was lost too often; its name and its words, or its end and last lines.
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
        self._manifest = self._make_manifest(None)  # raises before anything is done
        self._watch = PodWatch(api, f"{INSTANCE}={self._name}")
        self._end = time.time() + cluster.workers.deadline_seconds
        self._uid = ""  # of the Job that was followed last: no other is this launcher's to delete in the end
        self._restarts, self._checkpoint = 0, newest_checkpoint(folder)

    def run(self) -> None:
        self._manifest = self._make_manifest(find_owner(self._api))
        try:
            self._watch.start()
            while not self._attempt():
                pass
        except InterruptError:
            log.info("stopping; the workers have %d s to save what they have", GRACE_SECONDS)
            raise
        finally:
            self._watch.stop()
            self._clean_up()

    def _make_manifest(self, owner: Owner | None) -> Object:
        return job_manifest(self._cluster, self._name, self._folder, self._workers, owner)

    def _attempt(self) -> bool:
        """Whether the work is done; if not, it is worth another attempt."""
        job, adopted = self._start()
        if job is None:
            return True
        settings = self._cluster.workers
        workers = WorkerSet(self._api, self._watch, self._signals, job, self._workers, settings, adopted)
        try:
            workers.follow(Lease(self._api, self._end))
        except LostError as lost:
            self._count_restart(lost)
            return False
        return True

    def _count_restart(self, lost: LostError) -> None:
        """Raises the error that is in `lost` if the workers may not start again.

        A training that comes further each time may lose a worker every day.
        """
        newest, allowed = newest_checkpoint(self._folder), self._cluster.workers.restarts
        self._restarts = self._restarts + 1 if newest == self._checkpoint else 1
        self._checkpoint = newest
        if self._restarts > allowed:
            raise lost.error from None
        log.warning(
            "starting all workers again, time %d of at most %d without a new checkpoint", self._restarts, allowed
        )

    def _start(self) -> tuple[Object | None, bool]:
        """The Job at work, None if it has done its work, and whether another launcher made it.

        What is there and cannot be followed, such as the Job that was lost, is removed first, and the end of its pods
        waited for, which would go on writing.

        Raises:
          WorkerError: it does not go.
        """
        give_up, lost = time.monotonic() + self._cluster.workers.start_seconds, self._uid
        while True:
            there = self._api.get("Job", self._name)
            if there and there["metadata"]["uid"] != lost and _same(there, self._manifest):
                state = job_state(there).get("type")
                if state == "Complete" and os.path.exists(os.path.join(self._folder, "weights")):
                    log.info("the Job %s has done this already", self._name)
                    self._uid = there["metadata"]["uid"]
                    return None, True
                if not state:
                    return self._adopt(there), True
            if there and not there["metadata"].get("deletionTimestamp"):
                self._api.delete("Job", self._name, "Foreground", there["metadata"]["uid"])
            pods, _ = self._api.list_pods(f"{INSTANCE}={self._name}")
            if not there and not pods and (made := self._api.create(self._manifest)):
                return self._serve(made, give_up), False
            if time.monotonic() > give_up:
                raise self._not_gone("Job", pods)
            self._api.pause(GONE_SECONDS)  # also if somebody was quicker, or our own request, of which we got no answer

    def _adopt(self, job: Object) -> Object:
        log.info("following the Job %s, which is at work on this already", self._name)
        self._uid = job["metadata"]["uid"]
        self._end = min(self._end, made_at(job) + self._cluster.workers.deadline_seconds)
        self._api.create(service_manifest(self._cluster, self._name, self._uid))  # if that was not come to
        return job

    def _serve(self, job: Object, give_up: float) -> Object:
        """Makes the Service of `job`, which is new: one that has its name belongs to a Job that is gone."""
        self._uid = job["metadata"]["uid"]
        service = service_manifest(self._cluster, self._name, self._uid)
        while True:
            self._api.delete("Service", self._name, "Background")
            if self._api.create(service):
                log.info("started the Job %s of %d pods", self._name, self._workers)
                return job
            if time.monotonic() > give_up:
                raise self._not_gone("Service", [])
            self._api.pause(GONE_SECONDS)

    def _not_gone(self, kind: str, pods: Sequence[Object]) -> WorkerError:
        names = ", ".join(f"{pod['metadata']['name']} on {pod['spec'].get('nodeName')}" for pod in pods)
        expected = (
            f"the end of its pods ({names}): if their machine is lost, delete its node from the cluster, and run again"
            if pods
            else "no finalizer that keeps it, and nobody else who makes one of that name"
        )
        seconds = self._cluster.workers.start_seconds
        return WorkerError(f"the {kind} {self._name} is not gone {seconds} s after it was deleted: expected {expected}")

    def _clean_up(self) -> None:
        """Deletes the Job, and with it all that belongs to it, unless another has taken its place."""
        if not self._uid:
            return
        try:
            api = Api(self._api.client, self._api.namespace, CLEAN_UP_SECONDS)
            api.delete("Job", self._name, "Background", self._uid)
        except ReportedError as error:
            log.warning("the Job %s is left in the cluster, and ends with its lease: %s", self._name, error)


def newest_checkpoint(folder: str) -> str:
    """Of the job in `folder`, which is beside its checkpoints; empty if there is none."""
    return max(glob.glob(os.path.join(glob.escape(os.path.dirname(folder)), "step-*")), default="")


def find_owner(api: Api) -> Owner | None:
    """The pod of this process, if it is in the namespace of `api`: Kubernetes removes what has no owner there."""
    name = os.environ.get("POD_NAME") or os.environ.get("KFP_POD_NAME") or socket.gethostname()
    uid = os.environ.get("POD_UID") or os.environ.get("KFP_POD_UID")
    pod = api.get("Pod", name)
    if pod and uid in (None, pod["metadata"]["uid"]):
        spec = pod["spec"]
        secrets = tuple(secret["name"] for secret in spec.get("imagePullSecrets") or ())
        return Owner(name, pod["metadata"]["uid"], spec.get("serviceAccountName", ""), secrets)
    log.info("this is no pod of namespace %s: the workers get its default service account", api.namespace)
    return None


def _same(there: Object, job: Object) -> bool:
    """Whether `there`, if it is not about to go, is what `job` would make."""
    one, other = there["metadata"], job["metadata"]
    same = one.get("annotations", {}).get(FINGERPRINT) == other["annotations"][FINGERPRINT]
    return same and not one.get("deletionTimestamp")
