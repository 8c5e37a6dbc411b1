"""The pods that the doctor asks for: like a worker's, with the settings of any pod in `cluster.yaml`."""

import dataclasses
from typing import Any

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.contract import PASSWORD
from kubeflow.spec.pod import PodSettings
from kubeflow.workers.manifests import job_manifest

Manifest = dict[str, Any]


def pod_of(cluster: Cluster, settings: PodSettings) -> Manifest:
    """Returns a pod with these settings, for a question whether Kubernetes would admit it."""
    name = "vaeiaf-doctor"
    template = _job(cluster, settings, name)["spec"]["template"]
    metadata = {**template["metadata"], "name": name, "namespace": cluster.namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def check_job(cluster: Cluster, name: str, account: str, command: list[str]) -> Manifest:
    """Returns a Job of one pod that runs `command` as `account`, with the volume and the database's password."""
    manifest = _job(cluster, cluster.pod, name)
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container["command"] = [word.replace("$", "$$") for word in command]  # Kubernetes expands $(NAME), and $$ to $
    if cluster.database.kind != "sqlite":
        reference = {"name": cluster.database.secret, "key": "password"}
        container["env"].append({"name": PASSWORD, "valueFrom": {"secretKeyRef": reference}})
    if account:
        pod["serviceAccountName"] = account  # for its pull secrets
    return manifest


def _job(cluster: Cluster, settings: PodSettings, name: str) -> Manifest:
    workers = dataclasses.replace(cluster.workers, pod=settings, queue=None)  # it would wait for other Jobs
    return job_manifest(dataclasses.replace(cluster, workers=workers), name, cluster.volume.path, 1, None)
