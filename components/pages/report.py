"""Report: one self-contained HTML page about a run, with its pictures."""

import json
import os
import pathlib

from tfx import types
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from components.drift.component import DriftFindings
from components.drift.findings import read_findings
from components.gate.pusher import Push, final_verdict
from components.ingest.properties import span_name, span_number
from components.pages.account import Account
from components.pages.pictures import pictures
from components.pages.rendering import render
from trainer.training.record import read_history
from trainer.units import read_units

PAGE = "index.html"


class ReportPage(types.Artifact):
    """A folder with `index.html`."""

    TYPE_NAME = "VaeIafReport"


@component
def Report(
    examples: InputArtifact[list[standard_artifacts.Examples]],
    model: InputArtifact[standard_artifacts.Model],
    model_run: InputArtifact[standard_artifacts.ModelRun],
    evaluation: InputArtifact[standard_artifacts.ModelEvaluation],
    pushed_model: InputArtifact[standard_artifacts.PushedModel],
    report: OutputArtifact[ReportPage],
    settings: Parameter[str],
    drift: InputArtifact[list[DriftFindings]] = None,  # a list may be empty, and None makes it optional
    account: Parameter[str] = "",
):
    """Writes the page: verdict, comparisons of the data, ELBO per epoch, test images, pictures, the account of the run.

    Args:
      examples: images of the run; those of each span.
      model: the new model.
      model_run: the record of its training.
      evaluation: the gate's evaluation.
      pushed_model: what became of the model.
      report: the page.
      settings: of the run as JSON; ML Metadata keeps them, and the next run compares its own with them.
      drift: comparisons of the data.
      account: an `Account` as JSON, which the launcher fills in.
    """
    told = Account.from_json(account)
    compared = [read_findings(found.uri) for found in drift or []]
    verdict = final_verdict(evaluation.uri, pushed_model)
    servable, push = path_utils.serving_model_path(model.uri), Push.read(pushed_model)
    page = render(
        "report.html.j2",
        verdict=verdict.noted(found.sentence for found in compared),
        compared=compared,
        history=read_history(model_run.uri),
        units=read_units(servable),
        spans=[name for name in map(span_name, sorted(examples, key=span_number)) if name],
        pushed_to=push.pushed_to or push.unchanged,
        pictures=pictures(servable, artifact_utils.get_split_uris(examples, "test")) if verdict.answers else None,
        settings=json.loads(settings),
        account=told,
        attempts=told.attempts,
    )
    os.makedirs(report.uri, exist_ok=True)
    pathlib.Path(report.uri, PAGE).write_text(page)
