"""The pods of a run, from Argo's record of it, and their logs.

Kubeflow reports no exit codes, no messages and no outputs of a task, and its launcher exits with 1 whatever our process
exits with. But Argo keeps a pod's termination message and, in the stock configuration, its log, and the API hands out
both: see `RECORD`, `KEPT_LOG` and `POD_LOG`.
"""

import base64
import json
from typing import Any, NamedTuple

from kubeflow.client.api import Api, ApiError

PATIENCE = 30.0  # seconds that the API may be away
RECORD = "/apis/v1beta1/runs/{run}"  # of Kubeflow Pipelines 2.14 to 2.17, as are the others
KEPT_LOG = "/apis/v2beta1/runs/{run}/nodes/{node}/artifacts/main-logs:read"  # with Argo's archiveLogs
POD_LOG = "/apis/v1alpha1/runs/{run}/nodes/{pod}/log"  # while there is a pod; the UI's address does not serve it
UNREADABLE = (ApiError, LookupError, TypeError, ValueError, AttributeError)


class Pod(NamedTuple):
    """A pod of a task."""

    task: str  # name of the task, or NAME-driver of its driver
    node: str  # id of Argo's node
    name: str
    phase: str  # as Argo names it
    message: str  # what Argo says of its end


def pods(api: Api, run: str) -> list[Pod]:
    """Returns the pods of the run in the order of their starts; empty if Kubeflow cannot tell."""
    try:
        answer = api.get("read its pods' failures", RECORD, PATIENCE, run=run)
        nodes = json.loads(answer["pipeline_runtime"]["workflow_manifest"])["status"]["nodes"]
        started = sorted(nodes.values(), key=lambda node: str(node.get("startedAt")))
        return [_pod(node, nodes) for node in started if node["type"] == "Pod"]
    except UNREADABLE:
        return []


def _pod(node: dict[str, Any], nodes: dict[str, Any]) -> Pod:
    """Reads a node. A task's pod is called `executor`, and its boundary is named after the task, as `trainer(0)`."""
    shown, boundary = _name(node), nodes.get(str(node.get("boundaryID")))
    workflow, _, number = node["id"].rpartition("-")
    return Pod(
        task=_name(boundary) if boundary and shown == "executor" else shown,
        node=node["id"],
        name=f"{workflow}-{node.get('templateName')}-{number}",
        phase=node["phase"],
        message=node.get("message") or "",
    )


def _name(node: dict[str, Any]) -> str:
    """Returns the node's name without the number of the attempt."""
    return node["displayName"].partition("(")[0]


def kept_log(api: Api, run: str, pod: Pod) -> str:
    """Returns Argo's copy of the pod's log; empty if there is none."""
    try:
        answer = api.get("read the log of a pod", KEPT_LOG, run=run, node=pod.node)
        return base64.b64decode(answer["data"]).decode(errors="replace")
    except UNREADABLE:
        return ""


def pod_log(api: Api, run: str, pod: Pod) -> str:
    """Returns the log of a pod that still exists; empty otherwise."""
    try:
        return api.get("read the log of a pod", POD_LOG, media="text/plain", run=run, pod=pod.name)
    except UNREADABLE:
        return ""
