"""The failures that the pods of a run left, from Argo's record of the run.

Kubeflow reports no exit codes, and its launcher exits with 1 whatever our process exits with. But Argo keeps a pod's
termination message, and the first version of Kubeflow's API, which 2.17 still serves, returns Argo's record.
"""

import functools
import json
from typing import Any

from kubeflow.client.api import Api, ApiError
from trainer.failure import Failure, Kind

PATIENCE = 30.0  # seconds that the API may be away


def failures(api: Api, run: str) -> dict[str, Failure]:
    """Returns, by task, what the last of its failed pods left; empty if Kubeflow cannot tell."""
    get_run = functools.partial(  # the generated client lacks it
        api.client.runs.api_client.call_api,
        "/apis/v1beta1/runs/{run_id}",
        "GET",
        {"run_id": run},
        header_params={"Accept": "application/json"},
        response_type="object",
        auth_settings=["Bearer"],
        _return_http_data_only=True,
    )
    try:
        answer = api.ask("read its pods' failures", get_run, patience=PATIENCE)
        nodes = json.loads(answer["pipeline_runtime"]["workflow_manifest"])["status"]["nodes"]
        return _failures(nodes)
    except (ApiError, LookupError, TypeError, ValueError, AttributeError):
        return {}


def _failures(nodes: dict[str, Any]) -> dict[str, Failure]:
    """Reads Argo's nodes: the boundary of a task's pod is a DAG, named after the task and the attempt, as `trainer(0)`.

    Argo puts the container and its exit code before our message, and says itself what happened to a lost pod.
    """
    found = {}
    for node in sorted(nodes.values(), key=lambda node: str(node.get("startedAt"))):
        message, boundary = node.get("message"), nodes.get(node.get("boundaryID"))
        if message and boundary and node["type"] == "Pod":
            task = boundary["displayName"].partition("(")[0]
            left = Failure.from_json(message[message.find("{") :])
            found[task] = left or Failure(Kind.INFRASTRUCTURE, message)
    return found
