"""Report: one self-contained HTML page about a run, with its pictures."""

import json
import os
import pathlib

from tfx import types
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from components.gate.pusher import Push, deciding_evaluation
from components.gate.verdict import Verdict, read_verdict
from components.pages import parts as pages
from components.pages.parts import Pictures
from trainer.units import Units, read_units

TEMPLATE = pathlib.Path(__file__).with_name("report.html.j2")


class ReportPage(types.Artifact):
    """A folder with `index.html`."""

    TYPE_NAME = "VaeIafReport"


@component
def Report(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    model_run: InputArtifact[standard_artifacts.ModelRun],
    evaluation: InputArtifact[standard_artifacts.ModelEvaluation],
    pushed_model: InputArtifact[standard_artifacts.PushedModel],
    report: OutputArtifact[ReportPage],
):
    """Writes the page: verdict, ELBO per epoch, test images with reconstructions, samples from the prior."""
    servable, push = path_utils.serving_model_path(model.uri), Push.read(pushed_model)
    page = render(
        read_verdict(deciding_evaluation(evaluation.uri, pushed_model)),
        json.loads(pathlib.Path(model_run.uri, "history.json").read_text()),
        read_units(servable),
        pushed_to=push.pushed_to or push.unchanged,
        pictures=pages.pictures(servable, artifact_utils.get_split_uri([examples], "test")),
    )
    os.makedirs(report.uri, exist_ok=True)
    pathlib.Path(report.uri, "index.html").write_text(page)


def render(verdict: Verdict, history: dict, units: Units, pushed_to: str | None, pictures: Pictures) -> str:
    """The page as HTML."""
    return pages.render(
        TEMPLATE,
        verdict=verdict,
        history=history,
        units=units,
        pushed_to=pushed_to,
        pictures=pictures,
        curve=pages.elbo_curve(history),
    )
