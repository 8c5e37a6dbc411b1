"""The outputs of a task, which the UI of Kubeflow Pipelines shows."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from components.pages.views import View
from kubeflow.spec.contract import HTML, METRICS
from trainer.storage.atomic import whole


def write_outputs(executor_input: Mapping[str, Any], view: View) -> None:
    """Writes the page to the path of the output `html`, and the numbers to the executor output file.

    Kubeflow Pipelines fails a task with a metric that is not a finite number. Skips outputs that the task does not
    declare, because an older compiled pipeline may run a newer image.

    Args:
      executor_input: the parsed content of `{{$}}`.
      view: the page and the numbers.

    Raises:
      StorageError: a file cannot be written.
    """
    from kfp import dsl  # its import takes seconds

    outputs = executor_input["outputs"]
    declared = {name: found["artifacts"][0] for name, found in outputs.get("artifacts", {}).items()}
    written = {}
    if HTML in declared and view.html is not None:
        _write("the node's page", dsl.HTML(uri=declared[HTML]["uri"]).path, view.html)
        written[HTML] = _artifact(declared[HTML], {})
    if METRICS in declared:
        written[METRICS] = _artifact(declared[METRICS], view.metrics)
    _write("the node's outputs", outputs["outputFile"], json.dumps({"artifacts": written}, allow_nan=False))


def _artifact(declared: Mapping[str, Any], metadata: Mapping[str, float]) -> dict[str, Any]:
    """Returns an artifact as the executor output file lists it, at the backend's address."""
    return {"artifacts": [{"name": declared["name"], "uri": declared["uri"], "metadata": dict(metadata)}]}


def _write(what: str, path: str, text: str) -> None:
    with whole(what, path) as unfinished:
        pathlib.Path(unfinished).write_text(text)
