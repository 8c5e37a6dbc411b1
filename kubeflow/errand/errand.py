"""Runs one command in a pod with the image, the volume and the database of a run, and brings back its answer."""

import json
import secrets
from collections.abc import Callable

from kubeflow.doctor.kube import Kube
from kubeflow.doctor.manifest import check_job
from kubeflow.doctor.pod import ended
from kubeflow.doctor.rights import accounts_of
from kubeflow.errand.parcel import Arrival
from kubeflow.errand.request import Answer, Request
from kubeflow.spec.cluster import Cluster
from kubeflow.workers.kube_errors import ApiError
from kubeflow.workers.pod import Pod
from pipeline.doctor.finding import Finding
from trainer.errors import ReportedError

PROGRAM = ["python", "-P", "-m", "pipeline.cli._inside"]
SECONDS = 6 * 3600  # for a command, such as an evaluation that ingests its data first
READS = 5  # of the log, which may break off
PAUSE_SECONDS = 2.0  # between them

Told = Callable[[int, int], None]  # is told of the characters that have come, and of all


def run_errand(kube: Kube, cluster: Cluster, request: Request, told: Told) -> Answer:
    """Runs the command on the cluster's volume, removes the pod, and returns the answer.

    Raises:
      ReportedError: the pod cannot be started, says nothing, or its answer is lost.
      ApiError: Kubernetes refuses, or does not recover in time.
      InterruptError: a signal came; the pod is removed.
    """
    account = next(iter(accounts_of(kube, cluster)), "")
    name = f"vaeiaf-errand-{secrets.token_hex(3)}"
    settings = json.dumps(cluster.to_dict(), separators=(",", ":"))
    manifest = check_job(cluster, name, account, [*PROGRAM, settings, *request.arguments()])
    manifest["spec"]["activeDeadlineSeconds"] = SECONDS
    try:
        job = kube.create_job(manifest)
        assert job, "the name is random"
        end = ended(kube, job, SECONDS)
        if isinstance(end, Finding):
            raise ReportedError(end.sentence, value=name, remedy=end.remedy)
        return _answer(kube, end, told)
    finally:  # a signal may have come before the answer to the creation
        if left := kube.get_job(name):
            kube.delete_job(left, "Background")


def _answer(kube: Kube, end: Pod, told: Told) -> Answer:
    arrival = Arrival()
    for remaining in reversed(range(READS)):
        try:
            for line in kube.log(end.name):
                arrival.add(line)
                told(arrival.received, arrival.size)
            break
        except ApiError as error:
            if not error.transient or not remaining:
                raise
            kube.pause(max(PAUSE_SECONDS, error.pause))
    if arrival.is_empty:
        what = end.message.strip().splitlines()[-1:] or ["it says nothing"]
        remedy = "Check that image in cluster.yaml is built from this version by make image"
        raise ReportedError(f"the pod {end.end}: {what[0]}", value=end.name, remedy=remedy)
    return Answer.read(arrival.text())
