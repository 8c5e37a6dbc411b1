"""What runs where on a cluster, from `cluster.yaml`, the manifests and the compiled pipeline."""

import functools
import pathlib
import re
from typing import Any, NamedTuple

import yaml
from google.protobuf import json_format

MANIFESTS = pathlib.Path("kubeflow/deploy/manifests/base")
WORKERS = "Indexed Job"
STARTERS = ("submit", "schedule")
API, DATABASE, VOLUME = "Kubernetes API", "database", "volume"


class Workload(NamedTuple):
    """A pod, or several of one kind."""

    name: str
    lines: list[str]  # what runs in it
    uses: dict[str, bool]  # rails, and whether the pod may write to each


class Deployment(NamedTuple):
    """Everything in the picture."""

    namespace: str
    starters: list[tuple[str, list[str]]]  # name and role of each starter of a run, in order
    workloads: list[Workload]
    rails: dict[str, str]  # description of each rail, from left to right


@functools.cache
def read_deployment() -> Deployment:
    """Reads the deployment that the example `cluster.yaml` and the manifests describe."""
    from kubeflow.spec.compile import build
    from kubeflow.spec.file import load_cluster
    from kubeflow.spec.tasks import TASKS

    cluster = load_cluster("kubeflow/spec/cluster.yaml")
    objects = [part for path in sorted(MANIFESTS.glob("*.yaml")) for part in yaml.safe_load_all(path.read_text())]
    tasks = _tasks(build(cluster), list(TASKS), _role(objects, "jobs"))
    database = _object(objects, "StatefulSet", cluster.database.host)
    (image,) = [container["image"] for container in _containers(database)]
    return Deployment(
        cluster.namespace,
        [
            (f"vaeiaf {', vaeiaf '.join(STARTERS)}", ["on your machine"]),
            ("ml-pipeline", ["Kubeflow Pipelines: starts a pod for each task"]),
        ],
        [*tasks, _workers(cluster), *_standing(objects, cluster.volume.claim)],
        {
            VOLUME: f"PersistentVolumeClaim {cluster.volume.claim}, mounted at {cluster.volume.path}",
            DATABASE: f"StatefulSet and Service {cluster.database.host}: {image}, port {cluster.database.port}",
            API: "Kubernetes API",
        },
    )


def _tasks(pipeline: Any, names: list[str], role: str) -> list[Workload]:
    """Returns the pods of the compiled pipeline's tasks, with the Trainer's, which starts others, last."""
    spec = json_format.MessageToDict(pipeline.pipeline_spec)
    platform = json_format.MessageToDict(pipeline.platform_spec)["platforms"]["kubernetes"]
    executors = platform["deploymentSpec"]["executors"]
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        given = executors[f"exec-{name}"]
        fields = {entry["name"] for entry in given.get("fieldPathAsEnv", [])}
        used = {API: "POD_UID" in fields, DATABASE: "secretAsEnv" in given, VOLUME: "pvcMount" in given}
        alike.setdefault(tuple(rail for rail, is_used in used.items() if is_used), []).append(name)
    command = " ".join(spec["deploymentSpec"]["executors"]["exec-train"]["container"]["command"])
    return [
        Workload(
            f"pod of the task {tasks[0]}" if API in uses else f"{len(tasks)} pods, one a task",
            [command, f"Role {role}" if API in uses else ", ".join(tasks)],
            dict.fromkeys(uses, True),
        )
        for uses, tasks in sorted(alike.items(), key=lambda item: API in item[0])
    ]


def _workers(cluster: Any) -> Workload:
    from kubeflow.workers.manifests import job_manifest, job_name

    name = job_name("")
    pod = job_manifest(cluster, name, "FOLDER", 2, None)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    uses = {VOLUME: True} if any("persistentVolumeClaim" in volume for volume in pod["volumes"]) else {}
    shown = re.sub("[0-9a-f]{16}", "HASH", name)
    return Workload(
        f"{WORKERS} {shown}",
        [" ".join(container["command"]), f"headless Service {shown}, port {cluster.workers.port}"],
        uses if not pod["automountServiceAccountToken"] else {**uses, API: True},
    )


def _standing(objects: list[Any], claim: str) -> list[Workload]:
    """Returns the workloads of the manifests besides the database."""
    found = []
    for part in objects:
        mounts = [
            mount
            for container in _containers(part)
            for mount in container["volumeMounts"]
            for volume in part["spec"]["template"]["spec"].get("volumes", [])
            if volume["name"] == mount["name"] and volume["persistentVolumeClaim"]["claimName"] == claim
        ]
        if mounts:
            image = _containers(part)[0]["image"]
            writes = not all(mount.get("readOnly") for mount in mounts)
            found.append(Workload(f"{part['kind']} {part['metadata']['name']}", [image], {VOLUME: writes}))
    return found


def _containers(part: Any) -> list[Any]:
    return part.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])


def _role(objects: list[Any], resource: str) -> str:
    """Returns the name of the Role that governs `resource`."""
    (found,) = [
        part["metadata"]["name"]
        for part in objects
        if part["kind"] == "Role" and any(resource in rule["resources"] for rule in part["rules"])
    ]
    return found


def _object(objects: list[Any], kind: str, name: str) -> Any:
    (found,) = [part for part in objects if part["kind"] == kind and part["metadata"]["name"] == name]
    return found
