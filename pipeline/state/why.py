"""Why a node ran: which parts of its cache key differ from those of its newest earlier execution.

The parts are a property of ML Metadata's context of the executions with one key. Imports neither TensorFlow nor TFX.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.train.code import CODE
from pipeline.state.executions import NODE, PART, RUN, SUCCESSFUL, RunExecutions

PARTS, SOURCES = "parts", "sources"  # property of the context of a cache key; the part that names modules and libraries
CACHE = "execution_cache"  # TFX's type of that context
LONG = 60  # characters of a value, in words
WRAPPERS = {  # names in a setting's path that say nothing
    *("custom_config", "value", "train", "metrics_specs", "metrics", "config", "per_slice_thresholds", "thresholds"),
    *("threshold", "value_threshold", "change_threshold", "absolute", "eval_config"),
}


class Difference(NamedTuple):
    """A part of the key that changed. None where it is absent."""

    kind: str  # setting, input or code
    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.kind == "input" and self.old is not None and self.new is not None:
            return f"input {self.name}: other content"
        if self.old is None or self.new is None:
            return f"{self.kind} {self.name}: {'new' if self.old is None else 'gone'}"
        return f"{self.kind} {self.name}: {_cut(self.old)} -> {_cut(self.new)}"


class Why(NamedTuple):
    """Why a node ran, or did not."""

    node: str
    result: str  # reused, made, failed or unfinished
    reason: str  # in words, where the differences do not say it
    compared_with: str | None  # the run of the earlier execution
    differences: list[Difference]


def why(store: MetadataStore, pipeline: str, run: RunExecutions) -> Iterator[Why]:
    """Yields the reasons for each node of a run, in the order of the run."""
    for node, execution in run.nodes.items():
        yield _why(store, pipeline, node, execution)


def _why(store: MetadataStore, pipeline: str, node: str, execution: mlmd.Execution) -> Why:
    name = node.partition(".")[0]
    if execution.last_known_state == mlmd.Execution.CACHED:
        return Why(
            node, "reused", "code, settings and inputs are those of an earlier run", _maker(store, execution), []
        )
    states = {mlmd.Execution.COMPLETE: "made", mlmd.Execution.FAILED: "failed"}
    result = states.get(execution.last_known_state, "unfinished")
    if name not in CODE:
        return Why(node, result, "it runs every time", None, [])
    context = _cache(store, execution)
    earlier = _earlier(store, f"{pipeline}.{name}", execution)
    if earlier is None:
        return Why(node, result, "it is its first execution", None, [])
    before, other = _cache(store, earlier), run_of(store, earlier)
    if (
        context is None
        or before is None
        or PARTS not in context.custom_properties
        or PARTS not in before.custom_properties
    ):
        return Why(node, result, "the parts of the earlier key were not recorded", other, [])
    if context.id == before.id:
        if earlier.last_known_state not in SUCCESSFUL:
            return Why(node, result, "nothing changed, but the earlier execution did not finish", other, [])
        return Why(node, result, "nothing changed, but the earlier result was damaged or removed", other, [])
    old, new = (json.loads(one.custom_properties[PARTS].string_value) for one in (before, context))
    return Why(node, result, "", other, list(_differences(old, new)))


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Yields what differs between the parts of two keys."""
    before, after = (dict(_leaves(parts["parameters"])) for parts in (old, new))
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Difference("setting", name, before.get(name), after.get(name))
    for kind, part in (("input", "inputs"), ("code", SOURCES)):
        for name in sorted({*old[part], *new[part]}):
            if old[part].get(name) != new[part].get(name):
                yield Difference(kind, name, _short(old[part].get(name)), _short(new[part].get(name)))


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yields the settings within `value`, which may be JSON in texts at any depth, with their names."""
    if isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            inner = None
        if isinstance(inner, dict | list):
            value = inner
    if isinstance(value, dict):
        for name in value:
            yield from _leaves(value[name], (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, str(index)) if len(value) > 1 else path)
    else:
        yield ".".join(name for name in path if name not in WRAPPERS) or ".".join(path), value


def _short(part: Any) -> Any:
    """Returns the digest of each artifact of an input; the hash or version of code as it is."""
    return [artifact[1][:12] for artifact in part] if isinstance(part, list) else part


def _earlier(store: MetadataStore, node: str, execution: mlmd.Execution) -> mlmd.Execution | None:
    """Returns the newest execution of the node in an earlier run; a successful one, if there is one.

    Executions on the same span come first. Other spans of the same run tell nothing about why this one ran.
    """
    context = store.get_context_by_type_and_name(NODE, node)
    run, part = _run_and_part(run_of(store, execution))
    on_span = _executions_on(store, part) if part else set()
    found = [one for one in store.get_executions_by_context(context.id) if one.id < execution.id]
    found.sort(key=lambda one: (one.id in on_span, one.last_known_state in SUCCESSFUL, one.id), reverse=True)
    return next((one for one in found if _run_and_part(run_of(store, one))[0] != run), None)


def _executions_on(store: MetadataStore, part: str) -> set[int]:
    """Returns the ids of the executions of all runs on a span, whose runs have the ending `part`."""
    runs = [run for run in store.get_contexts_by_type(RUN) if run.name.endswith(part)]
    return {execution.id for run in runs for execution in store.get_executions_by_context(run.id)}


def _run_and_part(run: str) -> tuple[str, str]:
    """Splits the id of a part of a run, such as RUN.span-7; the part of another id is empty."""
    whole = PART.sub("", run)
    return whole, run.removeprefix(whole)


def maker_of(store: MetadataStore, execution: mlmd.Execution) -> mlmd.Execution | None:
    """Returns the execution that made the outputs of `execution`, which may have reused them; None if it has none."""
    events = store.get_events_by_execution_ids([execution.id])
    outputs = [event.artifact_id for event in events if event.type == mlmd.Event.OUTPUT]
    made = (
        [event for event in store.get_events_by_artifact_ids(outputs) if event.type == mlmd.Event.OUTPUT]
        if outputs
        else []
    )
    (first,) = store.get_executions_by_id([min(event.execution_id for event in made)]) if made else (None,)
    return first


def _maker(store: MetadataStore, execution: mlmd.Execution) -> str | None:
    found = maker_of(store, execution)
    return run_of(store, found) if found else None


def _cut(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= LONG else f"{text[: LONG - 3]}..."


def run_of(store: MetadataStore, execution: mlmd.Execution) -> str:
    """Returns the id of the run of `execution`."""
    return next(one.name for one in store.get_contexts_by_execution(execution.id) if one.type == RUN)


def _cache(store: MetadataStore, execution: mlmd.Execution) -> mlmd.Context | None:
    return next((one for one in store.get_contexts_by_execution(execution.id) if one.type == CACHE), None)
