"""The account of a run for its report, from ML Metadata."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.proto.orchestration import pipeline_pb2

from components.pages.account import Account, Change, Node, in_words
from pipeline.descent import descent
from pipeline.origin import made_with
from pipeline.state.executions import NODE, RUN, RunExecutions, attempts_of, time_of
from pipeline.state.lineage import IncompleteRunError
from pipeline.state.spans import span_run, window_of
from pipeline.state.why import run_of, why

REPORT = "Report"
SETTINGS, ACCOUNT = "settings", "account"  # its parameters
NEEDED = ("Trainer", "Evaluator", "AtomicPusher")
Attempts = dict[str, list[mlmd.Execution]]  # by node, and of spans NODE.span-NUMBER; the oldest first


def tell_report(
    pipeline: pipeline_pb2.Pipeline, node: pipeline_pb2.PipelineNode, store: MetadataStore, attempts: Sequence[str]
) -> None:
    """Fills the parameter of the report's `node` with the account of its run.

    It is filled at the launch, because the other nodes have ended only then.

    Raises:
      IncompleteRunError: they have not.
    """
    run_id = pipeline.runtime_spec.pipeline_run_id.field_value.string_value
    parameters = node.parameters.parameters
    settings = json.loads(parameters[SETTINGS].field_value.string_value)
    account = account_of(store, pipeline.pipeline_info.id, run_id, settings)
    told = dataclasses.replace(account, attempts=tuple(attempts))
    parameters[ACCOUNT].field_value.string_value = told.to_json()


def account_of(store: MetadataStore, pipeline: str, run_id: str, settings: Mapping[str, Any]) -> Account:
    """Returns what the run did before its report, with these `settings`.

    Raises:
      IncompleteRunError: a node whose results the account tells did not run, or left none.
    """
    spans = {span_run(run_id, span).removeprefix(run_id): span.name for span in window_of(store, run_id)}
    attempts = attempts_of(store, run_id)
    attempts.pop(REPORT, None)
    for name in NEEDED:
        if name not in attempts:
            raise IncompleteRunError(f"{name} did not run")
    for part in spans:
        attempts |= {f"{name}{part}": found for name, found in attempts_of(store, run_id + part).items()}
    context = store.get_context_by_type_and_name(RUN, run_id)
    started = time_of(context.create_time_since_epoch)
    lasts = dict(sorted(((name, found[-1]) for name, found in attempts.items()), key=lambda item: item[1].id))
    run = RunExecutions(run_id, pipeline, started, lasts)
    earlier = _reported_before(store, run)
    came = descent(store, lasts)
    return Account(
        run=run_id,
        started=f"{started:%Y-%m-%d %H:%M:%S %Z}",
        seconds=max(map(_end, lasts.values())) - started.timestamp(),
        nodes=tuple(_nodes(store, run, attempts, spans)),
        earlier=run_of(store, earlier) if earlier else None,
        changes=tuple(_changes(_settings(earlier), settings)) if earlier else (),
        data=str(settings["data"] or settings["dataset"]),
        examples=came.examples,
        made_with=made_with(),
        digests=came.digests,
        lineage=came.steps,
    )


def _nodes(store: MetadataStore, run: RunExecutions, attempts: Attempts, spans: Mapping[str, str]) -> Iterator[Node]:
    """Yields the nodes in the order of their start. What passed before an attempt that failed counts as waited."""
    ended = run.started.timestamp()
    for found in why(store, run.pipeline, run):
        execution = run.nodes[found.node]
        name, dot, part = found.node.partition(".")
        yield Node(
            node=f"{name}, span {spans[dot + part]}" if dot else name,
            result=found.result,
            seconds=_end(execution) - _start(execution),
            waited=max(_start(execution) - ended, 0.0),
            attempts=len(attempts[found.node]),
            since=found.compared_with,
            why=tuple(map(str, found.differences)) or (found.reason,),
        )
        ended = _end(execution)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted({*before, *now}):
        if name not in before or name not in now or before[name] != now[name]:
            yield Change(name, *(in_words(one[name]) if name in one else "absent" for one in (before, now)))


def _reported_before(store: MetadataStore, run: RunExecutions) -> mlmd.Execution | None:
    """Returns the report of the newest earlier run that recorded its settings, if there is one."""
    context = store.get_context_by_type_and_name(NODE, f"{run.pipeline}.{REPORT}")
    last = max(execution.id for execution in run.nodes.values())
    found = store.get_executions_by_context(context.id) if context else []
    earlier = [one for one in found if one.id < last and SETTINGS in one.custom_properties]
    newest_first = sorted(earlier, key=lambda one: one.id, reverse=True)
    return next((one for one in newest_first if run_of(store, one) != run.run), None)


def _settings(execution: mlmd.Execution) -> dict[str, Any]:
    return json.loads(execution.custom_properties[SETTINGS].string_value)


def _start(execution: mlmd.Execution) -> float:
    return execution.create_time_since_epoch / 1000


def _end(execution: mlmd.Execution) -> float:
    return execution.last_update_time_since_epoch / 1000
