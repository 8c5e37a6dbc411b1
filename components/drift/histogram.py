"""Draws the histograms of two samples, one above the other in each cell."""

import itertools
from collections.abc import Iterator

from markupsafe import Markup, escape

from components.drift.bins import Cells, shares

SHOWN = 12  # cells with the largest differences, where there are more
WIDTH, TEXT, ROW, BAR = 360, 136, 22, 8  # pixels: of the picture, its texts, a cell, a bar
ROOM = WIDTH - TEXT - 76  # pixels: the longest bar
CURRENT, REFERENCE = "current", "reference"  # classes of the style


def draw(cells: Cells, name: str) -> Markup:
    """Returns an SVG of the figure `name` with a row for each cell."""
    ours, theirs = shares(cells.current), shares(cells.reference)
    names = [*_intervals(cells.edges), *map(_short, cells.names)]
    largest = sorted(range(len(names)), key=lambda i: -abs(ours[i] - theirs[i]))[:SHOWN]
    rows, top = sorted(largest), max([*ours, *theirs, 1e-9])
    parts = []
    for row, i in enumerate(rows):
        y = row * ROW
        parts.append(f'<text x="{TEXT - 6}" y="{y + 14}" text-anchor="end">{escape(names[i])}</text>')
        for share, kind, offset in ((ours[i], CURRENT, 2), (theirs[i], REFERENCE, 2 + BAR)):
            width = ROOM * share / top
            parts.append(f'<rect x="{TEXT}" y="{y + offset}" width="{width:.1f}" height="{BAR}" class="{kind}"/>')
        end = TEXT + ROOM * max(ours[i], theirs[i]) / top
        parts.append(f'<text x="{end + 4:.1f}" y="{y + 14}">{100 * ours[i]:.0f} / {100 * theirs[i]:.0f} %</text>')
    height = ROW * len(rows) + (ROW if len(names) > SHOWN else 0)
    if len(names) > SHOWN:
        parts.append(f'<text x="0" y="{height - 6}">and {len(names) - SHOWN} others, which differ less</text>')
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="group" '
        f'aria-label="{escape(name)}, shares of both sets">{"".join(parts)}</svg>'
    )


def _intervals(edges: list[float]) -> Iterator[str]:
    for low, high in itertools.pairwise(edges):
        yield f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"
