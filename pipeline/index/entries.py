"""What the index says about runs, from ML Metadata and the push directories."""

import itertools
import os
from collections.abc import Iterable
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.card.names import HTML
from components.drift.names import NODES, SENTENCE
from components.gate.serving import versions
from components.gate.withdrawal import withdrawals
from pipeline.state.executions import RunExecutions
from pipeline.state.reports import page_of
from pipeline.state.runs import Run, runs_with_executions
from pipeline.state.served import Change, Version, changes, push_directory, served_version


class Entry(NamedTuple):
    """A run."""

    run: Run
    drift: str  # what drifted, in words; empty: nothing, or nothing was compared
    report: str | None  # path of its page; None: it has none, or it was pruned
    card: str | None  # path of the card of the version that it pushed, or found unchanged


class Series(NamedTuple):
    """The runs of a pipeline."""

    pipeline: str
    served: Version | None
    entries: list[Entry]  # the newest first
    changes: list[Change]  # of what is served, that no run made; the newest first, none older than all entries


def read_series(store: MetadataStore, root: str, pipelines: Iterable[str], limit: int) -> tuple[list[Series], bool]:
    """Returns the newest `limit` runs of `pipelines`, and whether there are more."""
    named = list(pipelines)
    cards = {name: _cards(push_directory(root, name)) for name in named}
    entries: dict[str, list[Entry]] = {name: [] for name in named}
    found = ((run, executions) for run, executions in runs_with_executions(store, root) if run.pipeline in entries)
    for run, executions in itertools.islice(found, limit):
        card = cards[run.pipeline].get(run.version or 0)
        entry = Entry(run, _drift(store, executions), page_of(store, executions), card)
        entries[run.pipeline].append(entry)
    has_more = next(found, None) is not None
    series = []
    for name, of in entries.items():
        changed = _since(of, changes(store, [name]), has_more)
        series.append(Series(name, served_version(store, root, name), of, changed))
    return series, has_more


def _since(entries: list[Entry], changed: list[Change], has_more: bool) -> list[Change]:
    """Returns the changes that are not older than all `entries`, if there are older runs."""
    return [one for one in changed if not has_more or (entries and one.time >= entries[-1].run.started)]


def _cards(base: str) -> dict[int, str]:
    """Returns the paths of the cards in the push directory `base`, by version."""
    paths = {version: os.path.join(base, str(version)) for version in versions(base)}
    paths |= {found.version: found.moved for found in withdrawals(base)}
    cards = {version: os.path.join(path, HTML) for version, path in paths.items()}
    return {version: card for version, card in cards.items() if os.path.exists(card)}


def _drift(store: MetadataStore, found: RunExecutions) -> str:
    """Returns what the comparisons of the run's data found. The id of a span's node ends with its number."""
    ids = [execution.id for name, execution in found.nodes.items() if name.partition(".")[0] in NODES]
    events = store.get_events_by_execution_ids(ids) if ids else []
    outputs = [event.artifact_id for event in events if event.type == mlmd.Event.OUTPUT]
    artifacts = store.get_artifacts_by_id(outputs) if outputs else []
    sentences = [artifact.custom_properties[SENTENCE].string_value for artifact in artifacts]
    return "; ".join(filter(None, sentences))
