"""The failures that the pods of a run left, from Argo's record of the run.

Kubeflow reports no exit codes, and its launcher ends with 1 whatever our process ended with. But Argo keeps a pod's
termination message, and the first version of Kubeflow's API, which 2.17 still has, returns Argo's record.
"""

import json
from typing import Any

from kubeflow.client.api import Api, ApiError
from trainer.failure import Failure

PATIENCE = 30.0  # seconds that the API may be away meanwhile


class _FirstVersion:
    """The call that the generated client lacks."""

    def __init__(self, api_client: Any) -> None:
        self.api_client = api_client

    def get_run(self, run: str, **keywords: Any) -> Any:
        """The run with its workflow, in JSON types."""
        return self.api_client.call_api(
            "/apis/v1beta1/runs/{run_id}",
            "GET",
            {"run_id": run},
            header_params={"Accept": "application/json"},
            response_type="object",
            auth_settings=["Bearer"],
            _return_http_data_only=True,
            **keywords,
        )


def failures(api: Api, run: str) -> dict[str, Failure]:
    """By task, the failure that the last of its failed pods left as its termination message."""
    try:
        call = _FirstVersion(api.client.runs.api_client).get_run
        answer = api.ask("read its pods' failures", call, run, patience=PATIENCE)
        nodes = json.loads(answer["pipeline_runtime"]["workflow_manifest"])["status"]["nodes"]
        return _failures(nodes)
    except (ApiError, LookupError, TypeError, ValueError, AttributeError):
        return {}  # the outcome is told without them


def _failures(nodes: dict[str, Any]) -> dict[str, Failure]:
    """From Argo's nodes: a task is one, and a pod that runs it is within its boundary."""
    found = {}
    for node in sorted(nodes.values(), key=lambda node: str(node.get("startedAt"))):
        message = node.get("message", "")  # Argo puts the container and its exit code before ours
        failure = Failure.from_json(message[message.find("{") :])
        task = nodes.get(node.get("boundaryID"), {}).get("displayName")
        if failure and task:
            found[task] = failure
    return found
