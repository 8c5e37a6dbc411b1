"""Renders the templates of this folder and of the comparison of data as self-contained HTML pages."""

import pathlib
from typing import Any

import jinja2
import numpy as np

from components.drift import page
from components.gate.serving_record import words
from components.gate.sums import Metrics
from components.gate.sums import interval as bounds
from components.gate.verdict import interval
from components.html.templates import MISSING, Filters, environment
from components.pages.account import in_words
from components.pages.lineage import draw
from components.pages.looks import TEMPERATURES
from trainer.evaluate import ACTIVE
from trainer.units import Units

FOLDER = pathlib.Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """Returns the page that the file `template` makes of `values`."""
    return TEMPLATES.get_template(template).render(values)


def _gain(candidate: Metrics) -> str:
    return interval(candidate) if "elbo_gain" in candidate else f"the gain is {MISSING}"


def _confidence(candidate: Metrics) -> str:
    if "elbo_standard_error" not in candidate:
        return MISSING
    lower, upper = bounds(candidate["elbo"], candidate["elbo_standard_error"])
    return f"between {lower:.2f} and {upper:.2f}"


def _bits(elbo: Any, units: Units) -> str:
    """Returns the ELBO in bits/dim; empty for a likelihood that is no probability of pixels, and without a number."""
    if isinstance(elbo, jinja2.Undefined) or not np.isfinite(elbo) or (bits := units.bits_per_dim(elbo)) is None:
        return ""
    return f"{bits:.3f} bits/dim"


def _duration(seconds: float) -> str:
    """Returns seconds with one digit below a minute, and h:mm:ss or m:ss from there."""
    if seconds < 60:
        return f"{seconds:.1f}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}:{minutes:02}:{rest:02}\N{NO-BREAK SPACE}h" if hours else f"{minutes}:{rest:02}\N{NO-BREAK SPACE}min"
    )


FILTERS: Filters = {
    "bits": _bits,
    "gain": _gain,
    "confidence": _confidence,
    "serving": words,
    "duration": _duration,
    "lineage": draw,
    "setting": in_words,
}
TEMPLATES = environment([FOLDER, page.FOLDER], FILTERS | page.FILTERS)
TEMPLATES.globals |= {"active": ACTIVE, "missing": MISSING, "temperatures": TEMPERATURES}
