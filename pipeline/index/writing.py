"""Reads the runs of a state directory and writes their index."""

import datetime
import os
from collections.abc import Callable, Sequence
from typing import Any

from ml_metadata.metadata_store import MetadataStore

from pipeline.index.entries import Series, read_series
from pipeline.index.page import render
from pipeline.state.executions import pipelines_of
from trainer.errors import ReportedError, StorageError
from trainer.storage.durable import write_durably

PAGE = "index.html"  # in the state directory, beside what it links to
RUNS = 1000  # on a page, the newest; they take 0.9 MB


def refresh(root: str, open_store: Callable[[], MetadataStore], say: Callable[[str], Any]) -> None:
    """Writes the index of all pipelines after a run or a change. A failure is only reported: the work is done."""
    try:
        store = open_store()
        write_index(store, root, pipelines_of(store), os.path.join(root, PAGE))
    except ReportedError as error:
        say(f"The page of all runs is as old as before: {error}")


def write_index(store: MetadataStore, root: str, pipelines: Sequence[str], path: str) -> list[Series]:
    """Writes the index of `pipelines` to `path`, and returns what it says. Only in `root` it has links.

    Raises:
      StorageError: it cannot be written; an older page stays.
    """
    series, has_more = read_series(store, root, pipelines, RUNS)
    is_inside = os.path.dirname(path) == root
    page = render(series, datetime.datetime.now().astimezone(), root if is_inside else None, has_more)
    try:
        write_durably(path, page.encode())
    except OSError as error:
        raise StorageError("the index of runs", path, error) from error
    return series
