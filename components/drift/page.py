"""The page of a comparison: figures, thresholds and both histograms."""

import pathlib

from components.drift.findings import Findings
from components.drift.histogram import draw
from components.html.templates import Filters, environment

FOLDER = pathlib.Path(__file__).parent
READS = ("drift.html.j2", "drift_parts.html.j2")  # `components.train.code` counts them
FILTERS: Filters = {"histogram": draw}
TEMPLATES = environment([FOLDER], FILTERS)


def render(findings: Findings) -> str:
    """Returns the page, self-contained."""
    return TEMPLATES.get_template("drift.html.j2").render(findings=findings)
