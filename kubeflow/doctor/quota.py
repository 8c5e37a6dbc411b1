"""Whether Kubernetes would admit the pods of a run now: quotas, limits and policies."""

from collections.abc import Iterator, Mapping
from typing import Any

from kubeflow.doctor.kube import Kube
from kubeflow.doctor.manifest import pod_of
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.pod import PodSettings
from pipeline.doctor.finding import Finding, State


def quota(kube: Kube, cluster: Cluster) -> Iterator[Finding]:
    """Asks Kubernetes for each kind of pod in `cluster.yaml`, without creating it."""
    refused = False
    for where, settings in _kinds(cluster):
        said = kube.refusal(pod_of(cluster, settings))
        if said:
            refused = True
            remedy = f"Change {where} in cluster.yaml, or have the quota or the policy of {kube.namespace} changed"
            yield Finding("quota", State.WRONG, f"a pod as in {where} is not admitted: {said}", remedy)
    if not refused:
        used = "; ".join(_used(found) for found in kube.quotas())
        yield Finding("quota", State.OK, f"each kind of pod is admitted; {used or 'no quota'}")


def _kinds(cluster: Cluster) -> Iterator[tuple[str, PodSettings]]:
    yield "pod", cluster.pod
    for task, settings in cluster.tasks.items():
        yield f"tasks.{task}", settings
    yield "workers.pod", cluster.workers.pod


def _used(found: Mapping[str, Any]) -> str:
    """Returns what is used of a quota: `requests.cpu 3 of 8`."""
    status = found.get("status", {})
    used, hard = status.get("used", {}), status.get("hard", {})
    return ", ".join(f"{name} {used.get(name, '0')} of {limit}" for name, limit in sorted(hard.items()))
