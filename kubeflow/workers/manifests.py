"""The workers of a training as Kubernetes sees them: an Indexed Job, its headless Service and its NetworkPolicy."""

import hashlib
import json
import re
from typing import Any

from kubeflow.spec.cluster import QUEUE, Cluster
from kubeflow.spec.contract import INDEX, TERMINATION_LOG
from kubeflow.spec.pod import ExtraVolume, PodSettings
from kubeflow.workers.job import FINGERPRINT
from kubeflow.workers.lease import first_lease
from kubeflow.workers.owner import Owner
from kubeflow.workers.pod import WORKER
from trainer.errors import UserError
from trainer.workers.launch import ERROR_FILE, SAVE_SECONDS

INSTANCE = "app.kubernetes.io/instance"  # label of everything that belongs to one training
SEEN_SECONDS = 60  # for the launcher to see how a Job ended before its ttl removes it
GRACE_SECONDS = int(SAVE_SECONDS) + 15  # to notice SIGTERM between two steps, save a checkpoint and exit

Manifest = dict[str, Any]


def job_name(folder: str) -> str:
    """Returns a name that depends on the folder alone, so that the next launcher finds the Job of this one."""
    return f"vaeiaf-{hashlib.sha256(folder.encode()).hexdigest()[:16]}"


def job_manifest(cluster: Cluster, name: str, folder: str, workers: int, owner: Owner | None) -> Manifest:
    """Returns a Job of `workers` pods that run `python -P -m trainer.workers.worker <folder>` with their TF_CONFIG.

    Kubernetes replaces no single pod: the others could not continue with the new one, so all have to start again.

    Raises:
      UserError: fewer than one worker, or a name that is invalid for a host.
    """
    if workers < 1:
        raise UserError("workers", value=workers, valid="at least 1")
    host = f"{name}-{workers - 1}"
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", host):
        valid = "at most 63 of a-z, 0-9 and -, starting with a letter"
        raise UserError("a worker's host name", value=host, valid=valid)
    pod = _pod(cluster, name, folder, workers)
    settings = cluster.workers.pod
    labels = {
        "labels": settings.labels | _labels(name),
        "annotations": settings.annotations | {"sidecar.istio.io/inject": "false"},
    }
    spec: Manifest = {
        "completionMode": "Indexed",
        "completions": workers,
        "parallelism": workers,
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": max(cluster.workers.ttl_seconds, SEEN_SECONDS),
        "template": {"metadata": labels, "spec": pod},
    }
    fingerprint = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
    # What follows differs between launchers or changes with time, so the fingerprint leaves it out.
    if cluster.workers.queue is not None:  # Kueue starts it when there are machines
        spec["suspend"] = True
    spec["activeDeadlineSeconds"] = first_lease(cluster.workers.deadline_seconds)
    metadata = _metadata(cluster, name) | {"annotations": {FINGERPRINT: fingerprint}}
    if cluster.workers.queue is not None:
        metadata["labels"][QUEUE] = cluster.workers.queue
    if owner:  # whose account and pull secrets admit the workers' pods like its own
        metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": owner.name, "uid": owner.uid}]
        if owner.account:
            pod["serviceAccountName"] = owner.account
    secrets = dict.fromkeys([*settings.pull_secrets, *(owner.pull_secrets if owner else ())])
    if secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in secrets]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def service_manifest(cluster: Cluster, name: str, uid: str) -> Manifest:
    """Returns the Service that gives each pod its host name, before it is ready: the workers wait for each other.

    Kubernetes removes it with the Job of the same name, whose uid is `uid`.
    """
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {INSTANCE: name},
        "ports": [{"name": "grpc", "port": cluster.workers.port, "targetPort": cluster.workers.port}],
    }
    metadata = _metadata(cluster, name) | {"ownerReferences": [_owner(name, uid)]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def policy_manifest(cluster: Cluster, name: str, uid: str) -> Manifest:
    """Returns the NetworkPolicy by which only pods of the Job reach its pods: a worker asks nobody who sends a tensor.

    Kubernetes removes it with the Job of the same name, whose uid is `uid`.
    """
    workers = {"podSelector": {"matchLabels": {INSTANCE: name}}}
    spec = workers | {"policyTypes": ["Ingress"], "ingress": [{"from": [workers]}]}  # any port: TPUs use more than one
    metadata = _metadata(cluster, name) | {"ownerReferences": [_owner(name, uid)]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _owner(name: str, uid: str) -> dict[str, str]:
    return {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}


def _labels(name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "vaeiaf",
        "app.kubernetes.io/component": "trainer-worker",
        INSTANCE: name,
        "sidecar.istio.io/inject": "false",  # a proxy would break gRPC between workers, and never exit
    }


def _metadata(cluster: Cluster, name: str) -> Manifest:
    return {"name": name, "namespace": cluster.namespace, "labels": _labels(name)}


def _pod(cluster: Cluster, name: str, folder: str, workers: int) -> Manifest:
    pod, volume = cluster.workers.pod, cluster.volume
    container = {
        "name": WORKER,
        "image": pod.image or cluster.image,
        "command": ["python", "-P", "-m", "trainer.workers.worker", folder],
        "env": _environment(cluster, name, workers),
        "ports": [{"name": "grpc", "containerPort": cluster.workers.port}],
        "resources": {
            "requests": _resources(pod, pod.cpu, pod.memory),
            "limits": _resources(pod, pod.cpu_limit, pod.memory_limit or pod.memory),
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "shared", "mountPath": volume.path},
            *({"name": f"extra-{i}", "mountPath": extra.path} for i, extra in enumerate(pod.volumes)),
        ],
    }
    found = {
        "restartPolicy": "Never",
        "subdomain": name,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The image or the namespace names the user: the same one as for the Trainer, which owns the folder.
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "nodeSelector": dict(pod.node_selector),
        "tolerations": [dict(toleration) for toleration in pod.tolerations],
        "containers": [container],
        "volumes": [
            {"name": "shared", "persistentVolumeClaim": {"claimName": volume.claim}},
            *({"name": f"extra-{i}", **_source(extra)} for i, extra in enumerate(pod.volumes)),
        ],
    }
    return found | ({"priorityClassName": pod.priority_class} if pod.priority_class is not None else {})


def _source(volume: ExtraVolume) -> Manifest:
    if volume.secret is not None:
        return {"secret": {"secretName": volume.secret}}
    if volume.config_map is not None:
        return {"configMap": {"name": volume.config_map}}
    return {"persistentVolumeClaim": {"claimName": volume.claim}}


def _environment(cluster: Cluster, name: str, workers: int) -> list[Manifest]:
    """Returns the container's variables. Kubernetes expands `$(...)` to a variable that comes before.

    It adds the index too, but behind. The host names omit the cluster's domain, which the pod's resolver adds.
    """
    hosts = [f"{name}-{i}.{name}.{cluster.namespace}.svc:{cluster.workers.port}" for i in range(workers)]
    addresses, pod = json.dumps({"worker": hosts}), cluster.workers.pod
    annotation = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    return [
        {"name": ERROR_FILE, "value": TERMINATION_LOG},
        {"name": INDEX, "valueFrom": {"fieldRef": {"fieldPath": annotation}}},
        {
            "name": "TF_CONFIG",
            "value": f'{{"cluster": {addresses}, "task": {{"type": "worker", "index": $({INDEX})}}}}',
        },
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        *({"name": variable, "value": value} for variable, value in pod.env.items()),
        *(
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": wanted.name, "key": wanted.key}}}
            for variable, wanted in pod.env_from_secret.items()
        ),
    ]


def _resources(pod: PodSettings, cpu: str | None, memory: str) -> dict[str, str]:
    found = {"memory": memory} if cpu is None else {"cpu": cpu, "memory": memory}
    return found | {pod.accelerator: str(pod.accelerators)} if pod.accelerators else found
