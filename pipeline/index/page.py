"""The page of the index: self-contained, with relative links, so that the state directory may be copied or served."""

import datetime
import itertools
import os
import pathlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from components.gate.sums import interval
from components.html.templates import environment
from pipeline.index.chart import Event, Point, draw
from pipeline.index.entries import Entry, Series
from pipeline.state.runs import Run
from pipeline.state.served import Change, Version
from trainer.intervals import Z

LONG = 300  # characters of a reason on the page; the run's own report has all

Link = Callable[[str | None], str | None]  # of a path, relative to the page


def render(series: Sequence[Series], now: datetime.datetime, root: str | None, has_more: bool = False) -> str:
    """Returns the page.

    Args:
      series: the runs of each pipeline.
      now: the time of the page.
      root: the state directory, which the page is in; None: it is elsewhere, and has no links to reports and cards.
      has_more: whether there are older runs.
    """

    def link(path: str | None) -> str | None:
        return quote(os.path.relpath(path, root)) if path and root else None

    count = sum(len(one.entries) for one in series)
    older = ", the newest; vaeiaf status --last N lists older ones" if has_more else ""
    return TEMPLATES.get_template("index.html.j2").render(
        sentence=f"{_counted(count, 'run')}{older}. vaeiaf report --series wrote this page at {minute(now)}.",
        series=[_section(one, link) for one in series],
    )


def _section(series: Series, link: Link) -> dict[str, Any]:
    oldest_first = series.entries[::-1]
    points = [_point(entry) for entry in oldest_first]
    return {
        "pipeline": series.pipeline,
        "served": series.served,
        "serving": _serving(series.served),
        "card": link(series.served and series.served.card),
        "chart": draw(points, [_event(change) for change in series.changes], _alt(series)) if points else "",
        "changes": [{**change._asdict(), "what": _changed(change)} for change in series.changes],
        "months": [
            {
                "name": name,
                "sentence": _results(entries),
                "rows": [{**entry._asdict(), "run": entry.run, **_row(entry, link)} for entry in entries],
            }
            for name, found in itertools.groupby(series.entries, key=lambda entry: f"{entry.run.started:%B %Y}")
            for entries in [[*found]]
        ],
    }


def _row(entry: Entry, link: Link) -> dict[str, Any]:
    run = entry.run
    return {
        "result": f"{run.state} in {run.node}" if run.node else run.state,
        "notes": [_cut(text) for text in (run.reasons, entry.drift and f"Drift: {entry.drift}") if text],
        "elbo": "" if run.elbo is None else f"{run.elbo:,.2f}",
        "interval": _interval(run),
        "report": link(entry.report),
        "card": link(entry.card),
    }


def _point(entry: Entry) -> Point:
    run = entry.run
    half = Z * (run.standard_error or 0.0)
    number = "" if run.elbo is None else f", ELBO {run.elbo:,.2f} ({_interval(run)})"
    words = f"{minute(run.started)}: {run.state}{f' version {run.version}' if run.version else ''}{number}"
    return Point(run.state, run.started, run.elbo, half, bool(entry.drift), words)


def _event(change: Change) -> Event:
    return Event(change.change, change.time, f"{minute(change.time)}: {_changed(change)}")


def _changed(change: Change) -> str:
    of = "to" if change.change == "rollback" else "of"
    served = f", served as {change.served}" if change.served else ""
    return f"{change.change} {of} {change.version}{served}{'' if change.is_complete else ', not completed'}"


def _serving(version: Version | None) -> str:
    if version is None:
        return "Nothing is served."
    of = f", which restores {version.restores}" if version.restores else ""
    number = "unknown" if version.elbo is None else f"{version.elbo:,.2f}"
    error = "" if version.standard_error is None else f", standard error {version.standard_error:.2f}"
    return f"Served now: version {version.version}{of}. Test-set ELBO {number} nats per image{error}."


def _alt(series: Series) -> str:
    """Describes the chart in words."""
    elbos = [entry.run.elbo for entry in series.entries if entry.run.elbo is not None]
    numbers = f" The first is {elbos[-1]:,.2f}, the last {elbos[0]:,.2f}." if elbos else ""
    return (
        f"ELBO of {_counted(len(series.entries), 'run')}: {_results(series.entries)}.{numbers} The tables say the same."
    )


def _results(entries: Sequence[Entry]) -> str:
    """Counts runs by their results, such as `12 runs: 10 pushed, 2 refused, 1 with drift`."""
    counts = [f"{count} {state}" for state, count in Counter(entry.run.state for entry in entries).most_common()]
    drifted = sum(bool(entry.drift) for entry in entries)
    return ", ".join([*counts, *([f"{drifted} with drift"] if drifted else [])])


def _interval(run: Run) -> str:
    if run.elbo is None or run.standard_error is None:
        return ""
    lower, upper = interval(run.elbo, run.standard_error)
    return f"{lower:,.2f} to {upper:,.2f}"


def _cut(text: str) -> str:
    return text if len(text) <= LONG else f"{text[: LONG - 3]}..."


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def minute(time: datetime.datetime) -> str:
    """Returns a time to the minute."""
    return f"{time:%Y-%m-%d %H:%M}"


TEMPLATES = environment([pathlib.Path(__file__).parent], {"minute": minute})
