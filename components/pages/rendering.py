"""Renders the templates of this folder and of the comparison of data as self-contained HTML pages."""

import base64
from collections.abc import Callable
from typing import Any

import jinja2
import numpy as np

from components.drift import page
from components.gate.serving_record import words
from components.gate.sums import Metrics
from components.gate.verdict import interval
from components.pages.latents import ACTIVE
from components.pages.looks import TEMPERATURES
from trainer.units import Units

MISSING = "n/a"
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(page.FOLDERS),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """Returns the page that the file `template` makes of `values`."""
    return TEMPLATES.get_template(template).render(values)


def _png(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _number(form: str) -> Callable[[Any], str]:
    """Returns a filter that formats a number, which may be missing."""
    return lambda value: MISSING if isinstance(value, jinja2.Undefined) else format(value, form)


def _gain(candidate: Metrics) -> str:
    return interval(candidate) if "elbo_gain" in candidate else f"the gain is {MISSING}"


def _bits(elbo: Any, units: Units) -> str:
    """Returns the ELBO in bits/dim; empty for a likelihood that is no probability of pixels, and without a number."""
    if isinstance(elbo, jinja2.Undefined) or not np.isfinite(elbo) or (bits := units.bits_per_dim(elbo)) is None:
        return ""
    return f"{bits:.3f} bits/dim"


TEMPLATES.filters |= page.FILTERS | {
    "png": _png,
    "nats": _number(".2f"),
    "count": _number(",.0f"),
    "bits": _bits,
    "gain": _gain,
    "serving": words,
}
TEMPLATES.globals |= {"active": ACTIVE, "temperatures": TEMPERATURES}
