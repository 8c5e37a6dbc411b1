"""What the pods of a run that failed said last, from Argo's record of it.

Kubeflow tells no exit codes, and its launcher ends with 1 whatever our process ended with. But Argo keeps a pod's
termination message, and the first version of Kubeflow's API, which 2.17 still has, hands Argo's record out.
"""

import json
import re
from typing import Any

from kubeflow.client.api import Api, ApiError

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


def last_words(api: Api, run: str) -> dict[str, str]:
    """By task, what the last of its pods that failed said at its end; nothing of those that left no words."""
    try:
        call = _FirstVersion(api.client.runs.api_client).get_run
        answer = api.ask("read what its pods said", call, run, patience=PATIENCE)
        nodes = json.loads(answer["pipeline_runtime"]["workflow_manifest"])["status"]["nodes"]
        return _words(nodes)
    except (ApiError, LookupError, TypeError, ValueError, AttributeError):
        return {}  # they would be welcome, no more


def _words(nodes: dict[str, Any]) -> dict[str, str]:
    """From Argo's nodes: a task is one, and a pod that runs it is within its boundary."""
    words = {}
    for node in sorted(nodes.values(), key=lambda node: str(node.get("startedAt"))):
        said = re.search(r"\(exit code \d+\): (.+)", node.get("message", ""), re.DOTALL)
        task = nodes.get(node.get("boundaryID"), {}).get("displayName")
        if said and task:
            words[task] = said.group(1).strip()
    return words
