"""Draws the ELBO of runs in their order, and a lane below it for each kind of event.

Positions are shares of the width and sizes are pixels, so the chart has the width of the page, and its text and its
marks keep theirs on any screen.
"""

import datetime
import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

SHAPES = {  # of each kind, around (0, 0) and 8 pixels wide; each has another outline, because not all see colours
    "pushed": "M0-5L5 4H-5z",
    "unchanged": "M4 0A4 4 0 1 1-4 0A4 4 0 1 1 4 0z",
    "refused": "M-4-4L4 4M-4 4L4-4",
    "failed": "M-4-4H4V4H-4z",
    "stopped": "M-4-2H4V2H-4z",
    "running": "M-4-4L4 0L-4 4",
    "drift": "M0-5L5 0L0 5L-5 0z",
    "rollback": "M4-4L-4 0L4 4z",
    "withdrawal": "M-4-4H4M0-4V4",
}
TICK = "M0-5V5"  # in place of a shape in a lane where many marks are
MANY = 150  # runs, above which their marks are small
PLOT, LANE, DATES, TOP = 200, 22, 26, 10  # pixels
AXIS = 104  # pixels: the width of the scale and of the lanes' names


class Point(NamedTuple):
    """A run in the chart."""

    kind: str  # of `SHAPES`
    time: datetime.datetime
    elbo: float | None  # nats per image; None: the run made no number
    half: float  # half of its 95 % interval
    drifted: bool
    words: str


class Event(NamedTuple):
    """A change of what is served, between two runs."""

    kind: str  # of `SHAPES`
    time: datetime.datetime
    words: str


class Scale(NamedTuple):
    """The numbers that the plot shows. What lies beyond them is drawn at its edge."""

    low: float
    high: float

    def y(self, value: float) -> float:
        """Returns the pixel of a value."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return TOP + PLOT * (1.0 - share)

    def ticks(self) -> list[float]:
        """Returns round numbers, at least three: multiples of the largest 1, 2 or 5 times a power of ten."""
        unit = 10.0 ** math.floor(math.log10(self.high - self.low))
        found: list[float] = []
        for step in (unit * 5.0, unit * 2.0, unit, unit / 2.0, unit / 5.0):
            first, last = math.ceil(self.low / step), math.floor(self.high / step)
            found = [step * number for number in range(first, last + 1)]
            if len(found) >= 3:
                break
        return found

    def holds(self, value: float) -> bool:
        """Tells whether the value is in the plot."""
        return self.low <= value <= self.high


def draw(points: Sequence[Point], events: Sequence[Event], alt: str) -> Markup:
    """Returns the chart as HTML.

    Args:
      points: runs, the oldest first; at least one.
      events: changes of what is served.
      alt: text for those who do not see it.
    """
    scale = scale_of(points)
    lanes = [kind for kind in SHAPES if _marks(kind, points, events)]
    height = TOP + PLOT + 14 + LANE * len(lanes) + DATES
    axis = [*_ticks(scale), *(_lane_name(kind, row, points, events) for row, kind in enumerate(lanes))]
    plot = [
        *(
            f'<line class="grid" x1="0" x2="100%" y1="{scale.y(tick):.1f}" y2="{scale.y(tick):.1f}"/>'
            for tick in scale.ticks()
        ),
        *_pushes(points, scale),
        *(mark for i, point in enumerate(points) for mark in _run(point, _at(i, points), scale, len(points))),
        *(mark for row, kind in enumerate(lanes) for mark in _lane(kind, row, points, events)),
        *_dates(points, height),
    ]
    return Markup(
        f'<div class="chart"><svg aria-label="scale" style="height:{height}px">{"".join(axis)}</svg>'
        f'<svg role="img" aria-label="{escape(alt)}" style="height:{height}px">{"".join(plot)}</svg></div>'
    )


def scale_of(points: Iterable[Point]) -> Scale:
    """Returns the numbers to show: those of pushed models with room around them, and others as far as that reaches.

    A run that diverged would otherwise press all others into one line.
    """
    found = [point for point in points if point.elbo is not None]
    if not found:
        return Scale(-1.0, 0.0)
    core = [point for point in found if point.kind in ("pushed", "unchanged")] or found
    middle = statistics.median(_elbo(point) for point in core)
    ends = [end for point in core for end in (_elbo(point) - point.half, _elbo(point) + point.half)]
    room = max(0.3 * (max(ends) - min(ends)), 1e-4 * abs(middle), 1e-6)
    low = max(min(ends) - room, min(_elbo(point) - point.half for point in found))
    high = min(max(ends) + room, max(_elbo(point) + point.half for point in found))
    pad = 0.08 * max(high - low, room)
    return Scale(low - pad, high + pad)


def _elbo(point: Point) -> float:
    assert point.elbo is not None
    return point.elbo


def _at(index: float, points: Sequence[Point]) -> float:
    """Returns the place of a run in percent of the width: they follow each other at equal distances."""
    return 100.0 * (index + 0.5) / len(points)


def _across(y: float) -> str:
    return f'<line x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'


def _shape(kind: str, x: float, y: float, words: str, size: float = 1.0, path: str | None = None) -> str:
    scaled = f' transform="scale({size:g})"' if size != 1.0 else ""
    return (
        f'<svg x="{x:.2f}%" y="{y:.1f}" width="1" height="1"><title>{escape(words)}</title>'
        f'<path class="{kind}"{scaled} d="{path or SHAPES[kind]}"/></svg>'
    )


def _run(point: Point, x: float, scale: Scale, count: int) -> Iterator[str]:
    """Yields the interval and the mark of a run. One beyond the scale is an arrow at the edge."""
    if point.elbo is None:
        return
    low, high = (scale.y(point.elbo + side * point.half) for side in (-1, 1))
    if not scale.holds(point.elbo):
        arrow = "M-4-5L0 0L4-5" if point.elbo < scale.low else "M-4 5L0 0L4 5"
        yield _shape(point.kind, x, scale.y(point.elbo), f"{point.words}, beyond the scale", path=arrow)
        return
    if point.half:
        yield f'<line class="interval" x1="{x:.2f}%" x2="{x:.2f}%" y1="{low:.1f}" y2="{high:.1f}"/>'
    yield _shape(point.kind, x, scale.y(point.elbo), point.words, 0.5 if count > MANY else 1.0)


def _pushes(points: Sequence[Point], scale: Scale) -> Iterator[str]:
    """Yields lines from each pushed model to the next."""
    pushed = [(i, point.elbo) for i, point in enumerate(points) if point.kind == "pushed" and point.elbo is not None]
    for (i, elbo), (j, later) in itertools.pairwise(pushed):
        yield (
            f'<line class="path" x1="{_at(i, points):.2f}%" x2="{_at(j, points):.2f}%" y1="{scale.y(elbo):.1f}" '
            f'y2="{scale.y(later):.1f}"/>'
        )


def _marks(kind: str, points: Sequence[Point], events: Sequence[Event]) -> list[tuple[float, str]]:
    """Returns place and words of each mark of a kind."""
    runs = [
        (_at(i, points), point.words)
        for i, point in enumerate(points)
        if point.kind == kind or (kind == "drift" and point.drifted)
    ]
    before = [(sum(point.time <= event.time for point in points), event) for event in events if event.kind == kind]
    return [*runs, *((min(100.0, max(0.0, _at(count - 0.5, points))), event.words) for count, event in before)]


def _lane(kind: str, row: int, points: Sequence[Point], events: Sequence[Event]) -> Iterator[str]:
    y = TOP + PLOT + 14 + LANE * (row + 0.5)
    yield _across(y)
    path = TICK if len(points) > MANY else None
    for x, words in _marks(kind, points, events):
        yield _shape(kind, x, y, words, path=path)


def _lane_name(kind: str, row: int, points: Sequence[Point], events: Sequence[Event]) -> str:
    y, count = TOP + PLOT + 14 + LANE * (row + 0.5), len(_marks(kind, points, events))
    shape = f'<path class="{kind}" transform="translate(6 {y})" d="{SHAPES[kind]}"/>'
    return f'{shape}<text x="15" y="{y + 4}">{kind} {count}</text>'


def _ticks(scale: Scale) -> Iterator[str]:
    found = scale.ticks()
    digits = max(0, -math.floor(math.log10(scale.high - scale.low)) + 1)
    for tick in found:
        yield f'<text x="{AXIS - 8}" y="{scale.y(tick) + 4:.1f}" text-anchor="end">{tick:,.{digits}f}</text>'


def _dates(points: Sequence[Point], height: int) -> Iterator[str]:
    """Yields the days of the first, the middle and the last run, or the times of the first and the last of one day."""
    has_days = points[0].time.date() != points[-1].time.date()
    middle, last = (len(points) - 1) // 2, len(points) - 1
    form = "%Y-%m-%d" if has_days or last == 0 else "%H:%M"
    places = [(0, "0", "start"), (middle, f"{_at(middle, points):.2f}%", "middle"), (last, "100%", "end")]
    shown = places[:1] if last == 0 else places if has_days and last > 2 else [places[0], places[2]]
    for index, x, anchor in shown:
        left_out = ' class="extra"' if anchor == "middle" else ""  # on a phone
        yield f'<text{left_out} x="{x}" y="{height - 8}" text-anchor="{anchor}">{points[index].time:{form}}</text>'
