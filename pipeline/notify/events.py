"""The events of a run, as CloudEvents 1.0."""

import datetime
import enum
import json
import math
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cloudevents.core.v1.event import CloudEvent

from pipeline.settings import PipelineConfig
from trainer.failure import Failure, Kind

if TYPE_CHECKING:  # it imports TFX, which takes seconds
    from pipeline.outcome import Outcome


class EventType(enum.StrEnum):
    """What happened. A new type needs a function below that builds its data."""

    PUSHED = "io.vaeiaf.model.pushed"
    REFUSED = "io.vaeiaf.model.refused"
    FAILED = "io.vaeiaf.run.failed"
    DRIFTED = "io.vaeiaf.data.drifted"


class Ending(NamedTuple):
    """The run that ended. An event's id follows from these fields and the type, so sending it again repeats the id."""

    pipeline: str
    run_id: str
    time: datetime.datetime  # with its time zone


def of_outcome(ending: Ending, outcome: "Outcome", config: PipelineConfig) -> CloudEvent | None:
    """Returns the event of a verdict: a push or a refusal. A run without news makes none."""
    verdict, push = outcome.verdict, outcome.push
    if outcome.nothing_new or (verdict.blessed and not push.pushed_to):
        return None
    data = {
        "candidate": _finite(verdict.candidate),
        "baseline": None if verdict.baseline is None else _finite(verdict.baseline),
        "thresholds": {name: getattr(config, name) for name in ("min_elbo", "max_regression", "min_label_elbo")},
        "reasons": verdict.reasons,
        "notes": verdict.notes,
        "pushed_to": push.pushed_to,
        "damaged": push.damaged,
        "report": outcome.report,
        "trained": outcome.trained,
    }
    return _event(EventType.PUSHED if verdict.blessed else EventType.REFUSED, ending, data)


def of_drift(ending: Ending, outcome: "Outcome") -> list[CloudEvent]:
    """Returns the event of each comparison that found drift, of a run that was warned and continued."""
    return [
        _event(EventType.DRIFTED, ending, {**found.findings.drift(found.page), "stopped": False})
        for found in outcome.comparisons
        if found.findings.drifted and not found.is_old
    ]


def of_failure(ending: Ending, failure: Failure, *, task: str | None = None, log: str | None = None) -> CloudEvent:
    """Returns the event of a run without a verdict: of a failure, or of drift that ended it.

    On Kubeflow, `task` is the one that failed; `log` is the path of the log.
    """
    if failure.kind == Kind.REFUSED:  # before the gate for models nothing else refuses
        found = failure.value if isinstance(failure.value, Mapping) else {"sentence": failure.sentence}
        return _event(EventType.DRIFTED, ending, {**found, "stopped": True})
    data = {**json.loads(failure.to_json()), "exit_code": failure.exit_code, "task": task, "log": log}
    return _event(EventType.FAILED, ending, data)


def _event(kind: EventType, ending: Ending, data: dict[str, Any]) -> CloudEvent:
    source = f"/{ending.pipeline}"
    name = f"{source}/{ending.run_id}/{kind}/{ending.time.isoformat()}"
    attributes = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "type": str(kind),
        "source": source,
        "subject": ending.run_id,
        "time": ending.time,
        "datacontenttype": "application/json",
    }
    return CloudEvent(attributes, data)


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Returns the metrics with None for NaN and infinities, which JSON does not have."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
