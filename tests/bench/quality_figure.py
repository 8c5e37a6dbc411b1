"""Draws quality against time as an SVG picture that follows the reader's light or dark theme."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 250, 52, 12, 26, 34  # of a panel, and its margins
SHOWN = {"nats": (-1960.0, -1790.0), "bits/dim": (6.5, 3.3)}  # at the bottom and at the top; curves may go beyond
TITLES = {"nats": "ELBO, nats per image", "bits/dim": "bits per dimension"}
TICKS = {"nats": 40.0, "bits/dim": 0.5}
DIGITS = {"nats": 1, "bits/dim": 2}  # after the point
PLOT = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'
COLOURS = ("#0969da", "#cf222e", "#1a7f37", "#8250df", "#bc4c00", "#59636e", "#0a7d91", "#9a6700")
HALF = 15  # letters of a name that fit into half the width
STYLE = """
  svg { font-family: Arial, "Liberation Sans", Helvetica, sans-serif; font-size: 11px; }
  .card { fill: #ffffff; } text { fill: #1f2328; } .grid { stroke: #d1d9e0; } .target { stroke-dasharray: 4 3; }
  .curve { fill: none; stroke-width: 1.8; } .bold { font-weight: bold; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #151b23; } text { fill: #f0f6fc; } .grid { stroke: #3d444d; } .curve { filter: brightness(1.6); }
  }
"""


class Curve(NamedTuple):
    """The quality of a contestant."""

    name: str
    units: str  # nats or bits/dim
    points: Sequence[Sequence[float]]  # seconds and quality


def figure(curves: Sequence[Curve], targets: Mapping[str, float]) -> str:
    """Returns a picture with a panel for each unit, one under the other so that it fits a narrow page."""
    panels = [units for units in SHOWN if any(curve.units == units for curve in curves)]
    parts, height = [], 0.0
    for units in panels:
        drawn, size = _panel([curve for curve in curves if curve.units == units], units, targets[units])
        parts.append(f'<g transform="translate(0 {height:g})">{drawn}</g>')
        height += size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        f'role="img">\n<title>Quality against the time of training</title>\n<style>{STYLE}</style>\n'
        f'<clipPath id="plot"><rect {PLOT}/></clipPath>\n'
        f'<rect class="card" width="{WIDTH}" height="{height:g}" rx="8"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(curves: Sequence[Curve], units: str, target: float) -> tuple[str, float]:
    """Returns a panel and its height, with the target as a broken line and a legend below."""
    worst, best = SHOWN[units]
    longest = max(seconds for curve in curves for seconds, _ in curve.points) / 60.0
    place_x = lambda minutes: LEFT + (WIDTH - LEFT - RIGHT) * minutes / longest  # noqa: E731
    place_y = lambda value: TOP + (HEIGHT - TOP - BOTTOM) * (best - value) / (best - worst)  # noqa: E731
    parts = [f'<text class="bold" x="{LEFT}" y="17">{TITLES[units]}</text>']
    low, high, step = min(worst, best), max(worst, best), TICKS[units]
    for i in range(math.ceil(low / step), math.floor(high / step) + 1):
        y = place_y(i * step)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{i * step:g}</text>')
    y = place_y(target)
    parts.append(f'<line class="target" stroke="#818b98" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
    spacing = _spacing(longest)
    for i in range(math.floor(longest / spacing) + 1):
        x = place_x(i * spacing)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{i * spacing:g}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - BOTTOM + 29}" text-anchor="end">minutes of all cores</text>')
    rows = -(-len(curves) // (2 if all(len(curve.name) <= HALF for curve in curves) else 1))
    for i, curve in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{place_x(seconds / 60.0):.1f},{place_y(value):.1f}" for seconds, value in curve.points)
        parts.append(f'<polyline class="curve" clip-path="url(#plot)" stroke="{colour}" points="{path}"/>')
        x, y = LEFT + i // rows * (WIDTH - LEFT) / 2, HEIGHT + 14 + i % rows * 16
        parts.append(
            f'<line class="curve" stroke="{colour}" x1="{x:g}" y1="{y - 4:g}" x2="{x + 18:g}" y2="{y - 4:g}"/>'
        )
        last = f"{curve.points[-1][1]:.{DIGITS[units]}f}"
        parts.append(f'<text x="{x + 23:g}" y="{y:g}">{escape(curve.name)}, {last}</text>')
    return "\n".join(parts), HEIGHT + 20 + 16 * rows


def _spacing(minutes: float) -> float:
    """Returns a round distance of ticks, of which at most six fit into `minutes`."""
    scale = 10.0 ** math.floor(math.log10(minutes / 6.0))
    return next(scale * factor for factor in (1.0, 2.0, 5.0, 10.0) if scale * factor * 6.0 >= minutes)
