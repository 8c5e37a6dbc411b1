"""Charts as SVG whose colours are the page's, and as PNG."""

import io
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SIZE = 3.4, 2.1  # inches: two charts side by side on a page, one below the other on a phone
INK, LINE, ACCENT = "#222222", "#dddddd", "#2a6fb0"  # of the PNG, and of a page without colours of its own
THEME = {INK: "--ink", LINE: "--line", ACCENT: "--accent"}  # a page's custom properties
STYLE: Any = {
    "font.size": 8.0,  # 10.7 pixels on a phone of 360
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "vaeiaf",  # the same ids in every run
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 7.8,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


class Chart(NamedTuple):
    """A chart in two forms."""

    name: str  # of its file, without the ending
    svg: Markup  # for a page, with `alt`
    png: bytes  # for a file
    alt: str


def chart(name: str, alt: str, draw: Callable[[Axes], None]) -> Chart:
    """Returns the chart that `draw` draws on axes in the colours `INK`, `LINE` and `ACCENT`."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        draw(figure.subplots())
        png = _saved(figure, format="png", dpi=160)
        figure.set_layout_engine("none")  # it has placed everything
        svg = _saved(figure, format="svg", transparent=True, metadata={"Date": None})
    return Chart(name, _inline(svg.decode(), name, alt), png, alt)


def _saved(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, **options)
    return buffer.getvalue()


def _inline(svg: str, name: str, alt: str) -> Markup:
    """Makes an SVG document a part of a page: with the page's font and colours, and ids of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' font-family: [^;"]*;|(?<=<g) id="[^"]*"', "", svg)
    svg = re.sub(r'(\bid="|"#|\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for colour, variable in THEME.items():
        svg = svg.replace(colour, f"var({variable}, {colour})")
    width, height = (round(72 * side) for side in SIZE)
    attributes = f'role="img" aria-label="{escape(alt)}" width="{width}" height="{height}"'
    return Markup(re.sub(r'<svg.*?viewBox="([^"]*)".*?>', rf'<svg {attributes} viewBox="\1">', svg, count=1))
