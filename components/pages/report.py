"""Report: one self-contained HTML page about a run, with its pictures beside it."""

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
from components.pages.charts import Chart
from components.pages.curves import curves
from components.pages.latents import groups
from components.pages.looks import Picture, looks
from components.pages.rendering import render
from trainer.carried import read_carried
from trainer.exported import Exported
from trainer.training.record import read_history
from trainer.units import read_units

PAGE = "index.html"


class ReportPage(types.Artifact):
    """A folder with `index.html`, and the page's pictures and charts as PNG."""

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
    baseline: InputArtifact[list[standard_artifacts.Model]] = None,  # a list may be empty, and None makes it optional
    drift: InputArtifact[list[DriftFindings]] = None,
    account: Parameter[str] = "",
):
    """Writes the page: verdict, comparisons of the data, curves, latents and pictures, the account of the run.

    Args:
      examples: images of the run; those of each span.
      model: the new model.
      model_run: the record of its training.
      evaluation: the gate's evaluation.
      pushed_model: what became of the model.
      report: the page, and its pictures beside it.
      settings: of the run as JSON; ML Metadata keeps them, and the next run compares its own with them.
      baseline: the served model, if there is one, whose curves and reconstructions are shown beside the new ones.
      drift: comparisons of the data.
      account: an `Account` as JSON, which the launcher fills in.
    """
    told = Account.from_json(account)
    compared = [read_findings(found.uri) for found in drift or []]
    verdict = final_verdict(evaluation.uri, pushed_model)
    servable, push = path_utils.serving_model_path(model.uri), Push.read(pushed_model)
    served = [path_utils.serving_model_path(other.uri) for other in baseline or [] if other.uri != model.uri]
    history, theirs = read_history(model_run.uri), read_carried(served[0]) if served else None
    charts, latents = curves(history, theirs), groups(history, theirs)
    pictures = None
    if verdict.answers:
        splits = artifact_utils.get_split_uris(examples, "test")
        pictures = looks(Exported(servable), Exported(served[0]) if served else None, splits, verdict.extremes)
    page = render(
        "report.html.j2",
        verdict=verdict.noted(found.sentence for found in compared),
        compared=compared,
        history=history,
        is_history_missing=bool(served) and theirs is None,
        charts=charts,
        latents=latents,
        units=read_units(servable),
        spans=[name for name in map(span_name, sorted(examples, key=span_number)) if name],
        pushed_to=push.pushed_to or push.unchanged,
        pictures=pictures,
        settings=json.loads(settings),
        account=told,
        attempts=told.attempts,
    )
    os.makedirs(report.uri, exist_ok=True)
    pathlib.Path(report.uri, PAGE).write_text(page)
    drawn: list[Chart | Picture] = [*charts, *(group.chart for group in latents)]
    for picture in (*drawn, *(pictures.pictures() if pictures else [])):
        pathlib.Path(report.uri, f"{picture.name}.png").write_bytes(picture.png)
