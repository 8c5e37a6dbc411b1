"""The text of a model card: Markdown, and HTML made from it."""

import datetime
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from components.card.card import Card
from components.html.templates import MISSING, Filters, environment

SPECIAL = re.compile(r"[\\`*\[\]<>|~&]|(?<!\w)_|_(?!\w)")  # what Markdown reads as more than text
BLANK = re.compile(r"\n{3,}")  # lines that parts of the template leave
FOLDER = pathlib.Path(__file__).parent


def markdown(card: Card) -> str:
    """Returns the card as Markdown."""
    kind = _kind(card.training.recipe) if card.training else "a variational autoencoder"
    page = TEMPLATES.get_template("model_card.md.j2").render(card=card, kind=kind)
    return BLANK.sub("\n\n", page).strip() + "\n"


def html(text: str, title: str) -> str:
    """Returns the page of a card that `markdown` wrote. A table that is too wide for a phone scrolls."""
    body = MARKDOWN.render(text).replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
    return PAGES.get_template("model_card.html.j2").render(title=title, body=Markup(body))


def _kind(recipe: Mapping[str, Any]) -> str:
    """Returns what a model of these settings is."""
    parts = ["a ladder of latents"] if str(recipe.get("encoder")).endswith("Ladder") else []
    parts += ["inverse autoregressive flow"] if recipe.get("iaf_steps") else []
    return f"a variational autoencoder{' with ' if parts else ''}{' and '.join(parts)}"


def _shown(value: Any) -> str:
    """Returns a value such that Markdown shows its characters; a filter's result is Markdown already."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, jinja2.Undefined):
        return MISSING
    return SPECIAL.sub(r"\\\g<0>", " ".join(str(value).split()))


def _code(value: Any) -> Markup:
    """Returns a value as code, in which no character has a meaning but its end."""
    return Markup("`" + " ".join(str(value).replace("`", "'").replace("|", "/").split()) + "`")


def _duration(seconds: float) -> Markup:
    return Markup(f"{datetime.timedelta(seconds=round(seconds))} (h:mm:ss)")


def _number(form: str) -> Callable[[Any], Markup]:
    """Returns a filter that formats a number, which may be missing."""
    return lambda value: Markup(MISSING if isinstance(value, jinja2.Undefined) else format(value, form))


def _interval(figures: Mapping[str, float]) -> Markup:
    if not {"elbo_lower", "elbo_upper"} <= figures.keys():
        return Markup(MISSING)
    return Markup(f"{figures['elbo_lower']:.2f} to {figures['elbo_upper']:.2f}")


MARKDOWN = MarkdownIt("js-default")  # with tables and without HTML, which a name could smuggle in
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER),
    autoescape=False,  # of HTML; `finalize` escapes for Markdown
    finalize=_shown,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
FILTERS: Filters = {
    "code": _code,
    "duration": _duration,
    "nats": _number(".2f"),
    "signed": _number("+.2f"),
    "bits": _number(".3f"),
    "ms": _number(".3f"),
    "count": _number(",.0f"),
    "interval": _interval,
}
TEMPLATES.filters |= FILTERS
PAGES = environment([FOLDER], {})
