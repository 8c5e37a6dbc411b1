"""Renders the templates of this folder and of the comparison of data as self-contained HTML pages."""

import pathlib
from typing import Any

import jinja2
import numpy as np

from components.drift import page
from components.gate.serving_record import words
from components.gate.sums import Metrics
from components.gate.verdict import interval
from components.html.templates import MISSING, Filters, environment
from components.pages.pictures import elbo_curve
from trainer.units import Units

FOLDER = pathlib.Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """Returns the page that the file `template` makes of `values`."""
    return TEMPLATES.get_template(template).render(values)


def _gain(candidate: Metrics) -> str:
    return interval(candidate) if "elbo_gain" in candidate else f"the gain is {MISSING}"


def _bits(elbo: Any, units: Units) -> str:
    """Returns the ELBO in bits/dim; empty for a likelihood that is no probability of pixels, and without a number."""
    if isinstance(elbo, jinja2.Undefined) or not np.isfinite(elbo) or (bits := units.bits_per_dim(elbo)) is None:
        return ""
    return f"{bits:.3f} bits/dim"


FILTERS: Filters = {"bits": _bits, "gain": _gain, "serving": words, "elbo_curve": elbo_curve}
TEMPLATES = environment([FOLDER, page.FOLDER], FILTERS | page.FILTERS)
