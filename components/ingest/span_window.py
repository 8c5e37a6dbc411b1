"""SpanWindow: decides which spans a run uses, once, and records them."""

import itertools
import json
import logging
import os
import pathlib
import stat
import time
from collections.abc import Iterator

from tfx import types
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from components.ingest.spans import Span, find_spans
from trainer.errors import UserError
from trainer.schema import SettingError
from trainer.storage.durable import write_durably

log = logging.getLogger(__name__)

FILE = "spans.json"
SHOWN = 3  # paths in a message


class Window(types.Artifact):
    """A folder with `spans.json`."""

    TYPE_NAME = "VaeIafSpanWindow"


@component
def SpanWindow(
    data: Parameter[str],
    spans: Parameter[int],
    span_marker: Parameter[str],
    span_age_minutes: Parameter[float],
    window: OutputArtifact[Window],
):
    """Writes the newest complete spans of the pattern `data`.

    It runs once per run, so all nodes use the same spans, though directories come and go meanwhile.
    """
    found = newest_complete(data, spans, span_marker, span_age_minutes, time.time())
    log.info("spans: %s", ", ".join(span.name for span in found))
    write_durably(os.path.join(window.uri, FILE), json.dumps([span._asdict() for span in found]).encode())


def read_window(window: types.Artifact) -> list[Span]:
    """Returns the spans of a run, the oldest first."""
    return [Span(**fields) for fields in json.loads(pathlib.Path(window.uri, FILE).read_text())]


def newest_complete(data: str, count: int, marker: str, age_minutes: float, now: float) -> list[Span]:
    """Returns the newest complete version of the newest `count` spans that have one, the oldest first.

    Args:
      data: the pattern.
      count: how many spans; fewer if there are fewer.
      marker: file that a complete span has; empty if its age tells.
      age_minutes: age of the newest file of a complete span, without a marker.
      now: seconds since 1970.

    Raises:
      SettingError: a marker is asked of spans that are files, which cannot have one.
      UserError: there is no complete span.
    """
    spans, others = find_spans(data)
    if marker and (files := [span.name for span in spans if os.path.isfile(span.path)]):
        valid = f"none with files as the spans of data, such as {files[0]} of {data}"
        remedy = "Leave span_marker out, so that span_age_minutes tells, or put each span into a folder"
        raise SettingError("span_marker", valid, marker, remedy=remedy)
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        log.info("not spans, so left out: %s%s", ", ".join(others[:SHOWN]), more)
    found: list[Span] = []
    skipped = []
    for _, versions in itertools.groupby(spans, key=lambda span: span.number):
        if len(found) == count:
            break
        for span in versions:
            if not (why := incomplete(span.path, marker, age_minutes, now)):
                found.append(span)
                break
            skipped.append(f"{span.name}: {why}")
            log.info("span %s is skipped: %s", span.name, why)
    if found:
        return found[::-1]
    raise UserError(
        f"--data {data} has no complete span",
        value=skipped or others,
        valid=f"a span with the file {marker}" if marker else f"a span without changes for {age_minutes:g} minutes",
        remedy="Wait until one is complete, or change the pattern, span_marker or span_age_minutes",
    )


def incomplete(path: str, marker: str, age_minutes: float, now: float) -> str | None:
    """Returns why the span at `path` is not complete; None if it is."""
    try:
        if marker:
            return None if os.path.isfile(os.path.join(path, marker)) else f"it has no {marker}"
        files, changed, newest = 0, 0.0, path
        for name in _all_below(path):
            found = os.stat(name)
            files += not stat.S_ISDIR(found.st_mode) and not os.path.basename(name).startswith(".")
            # A copy may keep the time of its original; the time of the inode is that of its arrival.
            changed, newest = max((changed, newest), (max(found.st_mtime, found.st_ctime), name))
    except FileNotFoundError as error:
        return f"{error.filename} is gone"
    minutes = (now - changed) / 60
    if not files:
        return "it is empty"
    if minutes < age_minutes:
        return (
            f"{os.path.relpath(newest, os.path.dirname(path))} changed {minutes:.1f} minutes ago, not {age_minutes:g}"
        )
    return None


def _all_below(path: str) -> Iterator[str]:
    """Yields `path` and every file and folder below it; also hidden ones, to which tools copy first."""

    def fail(error: OSError) -> None:
        raise error

    yield path
    if os.path.isdir(path):
        for folder, folders, names in os.walk(path, onerror=fail, followlinks=True):
            yield from (os.path.join(folder, name) for name in (*folders, *names))
