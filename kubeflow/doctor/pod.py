"""The one pod that the doctor runs: whether its image comes, and what it finds inside of the cluster."""

import json
import secrets
from collections.abc import Iterator

from kubeflow.doctor.kube import Kube
from kubeflow.doctor.manifest import check_job
from kubeflow.doctor.rights import accounts_of
from kubeflow.spec.cluster import Cluster
from kubeflow.workers.clock import Durations
from kubeflow.workers.job import Job
from kubeflow.workers.manifests import INSTANCE
from kubeflow.workers.pod import Pod
from pipeline.doctor.finding import Finding, State

PROGRAM = ["python", "-P", "-m", "kubeflow.doctor.inside"]
POLL_SECONDS = 2.0
HOPELESS_SECONDS = 30.0  # for a registry to recover
PLACE_SECONDS = 120.0  # for an autoscaler to add a machine
MADE_SECONDS = 30.0  # for Kubernetes to create the pod
TOTAL_SECONDS = 840  # for a large image; less than the Job's own deadline
POD = "Check image and pod in cluster.yaml"
INSIDE = ("volume", "database")  # checks of the program


def inside(kube: Kube, cluster: Cluster) -> Iterator[Finding]:
    """Runs the program in a pod with the image, as the account of a run, and removes it."""
    if kube.get_claim(cluster.volume.claim) is None:
        for check in ("image", *INSIDE):
            yield Finding(check, State.UNKNOWN, f"no pod can start without the claim {cluster.volume.claim}")
        return
    account = next(iter(accounts_of(kube, cluster)), "")
    name = f"vaeiaf-doctor-{secrets.token_hex(3)}"
    command = [*PROGRAM, json.dumps(cluster.to_dict(), separators=(",", ":"))]
    try:
        job = kube.create_job(check_job(cluster, name, account, command))
        assert job, "the name is random"
        yield from _findings(ended(kube, job), cluster)
    finally:  # a signal may have come before the answer to the creation
        if left := kube.get_job(name):
            kube.delete_job(left, "Background")


def _findings(end: Pod | Finding, cluster: Cluster) -> Iterator[Finding]:
    """Yields what the pod found, or why it found nothing."""
    image = cluster.pod.image or cluster.image
    if isinstance(end, Finding):
        yield end
        return
    try:
        found = json.loads(end.message)
        told = [Finding(check, State(state), *words) for check, state, *words in found["findings"]]
        yield Finding("image", State.OK, f"{image} was pulled; its code is of revision {found['revision']}")
        yield from told
    except (ValueError, TypeError, LookupError):
        last = (end.message.strip().splitlines() or ["it says nothing"])[-1]
        remedy = "Check that image in cluster.yaml is built from this version by `make image`"
        yield Finding("image", State.WRONG, f"{image} was pulled, but the pod {end.end}: {last}", remedy)


def ended(kube: Kube, job: Job, seconds: int = TOTAL_SECONDS) -> Pod | Finding:
    """Waits for the pod's end, at most `seconds`; returns a finding if it cannot start, or does not end."""
    waits, began = Durations(kube.clock), kube.clock.monotonic()
    while True:
        pods, _ = kube.list_pods(f"{INSTANCE}={job.name}")
        pod = next(iter(pods), None)
        if pod and (pod.succeeded or pod.failed):
            return pod
        if waits.held("absent", pod is None) > MADE_SECONDS:
            said = next((event["message"] for event in reversed(kube.list_events(job.uid))), "it does not say why")
            return _wrong(f"Kubernetes creates no pod: {said}", "Change the quota or the policy that forbids it")
        if pod and (fault := _fault(pod, waits)):
            return fault
        if kube.clock.monotonic() - began > seconds:
            why = pod.why_waiting if pod and not pod.started else "it runs"
            return _wrong(f"the pod has not ended after {seconds} s: {why}", POD)
        kube.pause(POLL_SECONDS)


def _fault(pod: Pod, waits: Durations) -> Finding | None:
    """Returns why the pod cannot start, once that has held for long enough."""
    if waits.held("hopeless", pod.hopeless) > HOPELESS_SECONDS:
        return _wrong(f"the pod cannot start: {pod.why_waiting}", f"{POD}, and the pull secrets of its account")
    if waits.held("rejected", pod.rejected) > PLACE_SECONDS:
        return _wrong(f"the pod has no machine: {pod.why_waiting}", POD)
    return None


def _wrong(sentence: str, remedy: str) -> Finding:
    return Finding("image", State.WRONG, sentence, remedy)
