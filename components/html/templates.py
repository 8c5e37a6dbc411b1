"""The environment of the templates: one frame, and the filters that all pages use."""

import base64
import pathlib
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jinja2

FOLDER = pathlib.Path(__file__).parent
READS = ("page.html.j2", "page.css", "elements.html.j2")  # `components.train.code` counts them
MISSING = "n/a"

Filters = dict[str, Callable[..., Any]]


class Size(NamedTuple):
    """Pixels of a picture."""

    width: int
    height: int


def environment(folders: Sequence[pathlib.Path], filters: Filters) -> jinja2.Environment:
    """Returns an environment that finds the templates of `folders` and of this one; a missing value is an error.

    Args:
      folders: of templates, the first one that has a template counts.
      filters: by name, beside the ones here.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, FOLDER]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= FILTERS | filters
    return made


def png_size(data: bytes) -> Size:
    """Returns the size of the PNG `data`, which stands in its header."""
    return Size(*struct.unpack(">II", data[16:24]))


def _png(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _number(form: str) -> Callable[[Any], str]:
    """Returns a filter that formats a number, which may be missing."""
    return lambda value: MISSING if isinstance(value, jinja2.Undefined) else format(value, form)


FILTERS: Filters = {
    "png": _png,
    "png_size": png_size,
    "nats": _number(".2f"),
    "count": _number(",.0f"),
}
