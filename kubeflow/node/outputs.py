"""The outputs of a task, which the UI of Kubeflow Pipelines shows."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from components.pages.views import View
from kubeflow.spec.contract import METRICS, PAGES
from trainer.storage.atomic import whole


def write_outputs(executor_input: Mapping[str, Any], views: Mapping[str, View]) -> None:
    """Writes each page to the path of its output, and the numbers to the executor output file.

    Kubeflow Pipelines fails a task with a metric that is not a finite number. Skips outputs that the task does not
    declare, because an older compiled pipeline may run a newer image: in version 0.1 a task runs one node, and its
    outputs are `html` and `metrics`.

    Args:
      executor_input: the parsed content of `{{$}}`.
      views: the page and the numbers of each node that has some.

    Raises:
      StorageError: a file cannot be written.
    """
    from kfp import dsl  # its import takes seconds

    outputs = executor_input["outputs"]
    declared = {name: found["artifacts"][0] for name, found in outputs.get("artifacts", {}).items()}
    written = {}
    for node, view in views.items():
        for page in declared.keys() & {PAGES.get(node), "html"}:
            if view.html is not None:
                _write("the node's page", dsl.HTML(uri=declared[page]["uri"]).path, view.html)
                written[page] = _artifact(declared[page], {})
        for numbers in declared.keys() & {METRICS.get(node), "metrics"}:
            written[numbers] = _artifact(declared[numbers], view.metrics)
    _write("the task's outputs", outputs["outputFile"], json.dumps({"artifacts": written}, allow_nan=False))


def _artifact(declared: Mapping[str, Any], metadata: Mapping[str, float]) -> dict[str, Any]:
    """Returns an artifact as the executor output file lists it, at the backend's address."""
    return {"artifacts": [{"name": declared["name"], "uri": declared["uri"], "metadata": dict(metadata)}]}


def _write(what: str, path: str, text: str) -> None:
    with whole(what, path) as unfinished:
        pathlib.Path(unfinished).write_text(text)
