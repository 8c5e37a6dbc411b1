"""The versions of Kubernetes and of Kubeflow Pipelines, and the address of its UI."""

import re

import urllib3

from kubeflow.client.api import SECONDS, Api
from kubeflow.client.submit import find_pipeline
from kubeflow.doctor.kube import Kube
from pipeline.doctor.finding import Finding, State

OLDEST_KUBERNETES = (1, 25)  # reads a Job's deadline again after it was changed
OLDEST_KUBEFLOW, NEWEST_KUBEFLOW = (2, 14), (2, 17)  # tried
FORWARD = "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"


def kubernetes(kube: Kube) -> Finding:
    """Checks the version of Kubernetes."""
    found, oldest = kube.version(), _text(OLDEST_KUBERNETES)
    if found < OLDEST_KUBERNETES:
        sentence = f"version {_text(found)}, older than {oldest}: the Job of a lost Trainer may outlive it"
        return Finding("kubernetes", State.WRONG, sentence, f"Upgrade the cluster to {oldest} or newer")
    return Finding("kubernetes", State.OK, f"version {_text(found)}")


def kubeflow(api: Api) -> Finding:
    """Checks that Kubeflow Pipelines answers, its version, and that this login may see the namespace."""
    health = api.get("tell its version", "/apis/v1beta1/healthz")  # later versions of the API do not tell it
    find_pipeline(api)
    told = str(health.get("tag_name", ""))
    release = re.match(r"v?(\d+)\.(\d+)", told)
    if not release:
        return Finding("kubeflow", State.OK, f"{_host(api)} answers for namespace {api.namespace}; version not told")
    found = (int(release[1]), int(release[2]))
    if found < OLDEST_KUBEFLOW:
        sentence = f"version {told} of Kubeflow Pipelines, older than {_text(OLDEST_KUBEFLOW)}"
        return Finding("kubeflow", State.WRONG, sentence, f"Upgrade it to {_text(OLDEST_KUBEFLOW)} or newer")
    untried = ", newer than any that was tried; `make test-cluster` tries it" if found > NEWEST_KUBEFLOW else ""
    return Finding("kubeflow", State.OK, f"version {told} at {_host(api)}{untried}")


def ui(address: str) -> Finding:
    """Checks that the UI's address answers with a page, or with a login."""
    remedy = (
        f"Set KF_PIPELINES_UI_ENDPOINT to the address that a browser takes, after `{FORWARD}` http://localhost:8080"
    )
    if not address.startswith("http"):
        return Finding("ui", State.UNKNOWN, "its address is not given, so `submit` prints a path alone", remedy)
    pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(*SECONDS))
    try:
        answer = pool.request("GET", address)
    except urllib3.exceptions.HTTPError as error:
        said = str(error).split(": ", 1)[-1]
        return Finding("ui", State.WRONG, f"{address} cannot be reached: {said}", remedy)
    kind = answer.headers.get("content-type", "of no type")
    if answer.status in (301, 302, 303, 307, 308, 401, 403):
        return Finding("ui", State.OK, f"{address} asks for a login ({answer.status})")
    if answer.status != 200 or "html" not in kind:
        return Finding("ui", State.WRONG, f"{address} answers with no page ({answer.status}, {kind})", remedy)
    return Finding("ui", State.OK, address)


def _host(api: Api) -> str:
    return api.client.runs.api_client.configuration.host


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
