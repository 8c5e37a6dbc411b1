"""The workers of a training as Kubernetes sees them: an Indexed Job, and the headless Service that names its pods."""

import hashlib
import json
import re
from typing import Any, NamedTuple

from kubeflow.spec.cluster import Cluster, PodSettings
from kubeflow.workers.lease import first_lease
from trainer.errors import UserError
from trainer.workers.launch import ERROR_FILE, SAVE_SECONDS

INSTANCE = "app.kubernetes.io/instance"  # label of all that belongs to one training
FINGERPRINT = "vaeiaf/manifest"  # annotation: two Jobs that agree in it do the same work in the same way
INDEX = "JOB_COMPLETION_INDEX"  # as Kubernetes calls it, which adds it, too late for others to refer to it
WORKER = "worker"  # the container
SEEN_SECONDS = 60  # that a finished Job stays at least, for the launcher to see how it ended
GRACE_SECONDS = int(SAVE_SECONDS) + 15  # to notice SIGTERM between two steps, save a checkpoint and end

Manifest = dict[str, Any]


class Owner(NamedTuple):
    """The launcher's pod: the Job disappears with it, and the workers are who it is to the cluster."""

    name: str
    uid: str
    account: str  # its service account
    pull_secrets: tuple[str, ...]


def job_name(folder: str) -> str:
    """The same for the same folder, so that a launcher that is started again finds what the one before left."""
    return f"vaeiaf-{hashlib.sha256(folder.encode()).hexdigest()[:16]}"


def job_manifest(cluster: Cluster, name: str, folder: str, workers: int, owner: Owner | None) -> Manifest:
    """`workers` pods that each run `python -P -m trainer.workers.worker <folder>`, and know each other by TF_CONFIG.

    No pod is replaced by itself: the others could not go on with the new one, so all have to start again. The Job ends
    soon if its lease is not renewed.

    Raises:
      UserError: less than one worker, or a name that is too long for a host's.
    """
    _check(name, workers)
    pod = _pod(cluster, name, folder, workers)
    labels = {"labels": _labels(name), "annotations": {"sidecar.istio.io/inject": "false"}}
    spec: Manifest = {
        "completionMode": "Indexed",
        "completions": workers,
        "parallelism": workers,
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": max(cluster.workers.ttl_seconds, SEEN_SECONDS),
        "template": {"metadata": labels, "spec": pod},
    }
    fingerprint = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
    # Not in the fingerprint: what differs from launcher to launcher, and with time.
    spec["activeDeadlineSeconds"] = first_lease(cluster.workers.deadline_seconds)
    metadata = _metadata(cluster, name) | {"annotations": {FINGERPRINT: fingerprint}}
    if owner:
        metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": owner.name, "uid": owner.uid}]
        pod |= _identity(owner)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def service_manifest(cluster: Cluster, name: str, uid: str) -> Manifest:
    """Gives each pod its host name, from its first moment on: the workers wait for each other before they are ready.

    It disappears with the Job of the same name, whose `uid` that is.
    """
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {INSTANCE: name},
        "ports": [{"name": "grpc", "port": cluster.workers.port, "targetPort": cluster.workers.port}],
    }
    metadata = _metadata(cluster, name) | {"ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _check(name: str, workers: int) -> None:
    if workers < 1:
        raise UserError(f"workers: expected at least 1, got {workers}")
    host = f"{name}-{workers - 1}"
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", host):
        raise UserError(f"{host}: expected a host's name: at most 63 of a-z, 0-9 and -, the first of a-z")


def _labels(name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "vaeiaf",
        "app.kubernetes.io/component": "trainer-worker",
        INSTANCE: name,
        "sidecar.istio.io/inject": "false",  # a proxy would break gRPC between workers, and never end
    }


def _metadata(cluster: Cluster, name: str) -> Manifest:
    return {"name": name, "namespace": cluster.namespace, "labels": _labels(name)}


def _identity(owner: Owner) -> Manifest:
    """What lets the workers' image be pulled and their pods be admitted, as the launcher's was; they get no token."""
    account = {"serviceAccountName": owner.account} if owner.account else {}
    secrets = {"imagePullSecrets": [{"name": name} for name in owner.pull_secrets]} if owner.pull_secrets else {}
    return account | secrets


def _pod(cluster: Cluster, name: str, folder: str, workers: int) -> Manifest:
    pod, volume = cluster.workers.pod, cluster.volume
    container = {
        "name": WORKER,
        "image": pod.image or cluster.image,
        "command": ["python", "-P", "-m", "trainer.workers.worker", folder],
        "env": _environment(cluster, name, workers),
        "ports": [{"name": "grpc", "containerPort": cluster.workers.port}],
        "resources": {"requests": _resources(pod), "limits": _resources(pod)},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "shared", "mountPath": volume.path}],
    }
    return {
        "restartPolicy": "Never",
        "subdomain": name,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The user is the image's, or the one that the namespace gives to the Trainer, whose folder this is, too.
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "nodeSelector": dict(pod.node_selector),
        "tolerations": [dict(toleration) for toleration in pod.tolerations],
        "containers": [container],
        "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": volume.claim}}],
    }


def _environment(cluster: Cluster, name: str, workers: int) -> list[Manifest]:
    """The index comes first: Kubernetes puts it in the place of `$(...)` in what comes after.

    The host names have no domain, which differs from cluster to cluster; a pod's resolver adds it.
    """
    hosts = [f"{name}-{i}.{name}.{cluster.namespace}.svc:{cluster.workers.port}" for i in range(workers)]
    addresses = json.dumps({"worker": hosts})
    annotation = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    return [
        {"name": ERROR_FILE, "value": "/dev/termination-log"},
        {"name": INDEX, "valueFrom": {"fieldRef": {"fieldPath": annotation}}},
        {
            "name": "TF_CONFIG",
            "value": f'{{"cluster": {addresses}, "task": {{"type": "worker", "index": $({INDEX})}}}}',
        },
        {"name": "PYTHONUNBUFFERED", "value": "1"},
    ]


def _resources(pod: PodSettings) -> dict[str, str]:
    resources = {"cpu": pod.cpu, "memory": pod.memory}
    return resources | {pod.accelerator: str(pod.accelerators)} if pod.accelerators else resources
