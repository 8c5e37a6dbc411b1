"""The page of a comparison: figures, thresholds and both histograms."""

import pathlib
from typing import Any

import jinja2

from components.drift.findings import Findings
from components.drift.histogram import draw

FOLDERS = [pathlib.Path(__file__).parent, pathlib.Path(__file__).parents[1] / "pages"]  # the second has the frame
READS = ("drift.html.j2", "drift_parts.html.j2", "../pages/page.html.j2")  # `components.train.code` counts them
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDERS),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
FILTERS: dict[str, Any] = {"histogram": draw}
TEMPLATES.filters |= FILTERS


def render(findings: Findings) -> str:
    """Returns the page, self-contained."""
    return TEMPLATES.get_template("drift.html.j2").render(findings=findings)
