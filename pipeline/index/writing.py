"""Reads the runs of a state directory and writes their index."""

import datetime
import os
from collections.abc import Sequence

from ml_metadata.metadata_store import MetadataStore

from pipeline.index.entries import Series, read_series
from pipeline.index.page import render
from trainer.errors import StorageError
from trainer.storage.durable import write_durably

PAGE = "index.html"  # in the state directory, beside what it links to
RUNS = 1000  # on a page, the newest; 0.8 MB


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
