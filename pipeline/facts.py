"""How a run ended, as facts for programs: the same keys for every end, with None for what there is not."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.gate.sums import interval
from pipeline.plain import plain
from pipeline.state.executions import RunExecutions
from pipeline.state.runs import PUSHED_TO, UNCHANGED, version_of
from trainer.exit_codes import DONE, REFUSED
from trainer.failure import Failure, Kind

if TYPE_CHECKING:
    from pipeline.outcome import Outcome

RESULTS = {mlmd.Execution.CACHED: "reused", mlmd.Execution.COMPLETE: "made", mlmd.Execution.FAILED: "failed"}
STATES = {Kind.STOPPED: "stopped", Kind.REFUSED: "refused"}  # of a run without a verdict; otherwise failed


def run_facts(pipeline: str, run: str, ended: "Outcome | Failure", nodes: RunExecutions | None) -> dict[str, Any]:
    """Returns the facts of the run that ended so, in JSON's types; `nodes` are its executions, if there are any."""
    verdict = _of_failure(ended) if isinstance(ended, Failure) else _of_outcome(ended)
    return plain({"run": run, "pipeline": pipeline, **verdict, "nodes": _nodes(nodes) if nodes else []})


def _of_outcome(outcome: "Outcome") -> dict[str, Any]:
    verdict, push = outcome.verdict, outcome.push
    passed = verdict.blessed or outcome.nothing_new
    state = "pushed" if push.pushed_to else "unchanged" if passed else "refused"
    version = push.pushed_to or push.unchanged
    return {
        "state": state,
        "exit_code": DONE if passed else REFUSED,
        "version": version_of(version) if version else None,
        PUSHED_TO: push.pushed_to,
        UNCHANGED: push.unchanged,
        "damaged": push.damaged,
        **_numbers(verdict.candidate, verdict.baseline),
        "reasons": verdict.reasons,
        "notes": verdict.notes,
        "serving": verdict.serving,
        "report": outcome.report,
        "trained": outcome.trained,
        "spans": outcome.spans,
        "nothing_new": outcome.nothing_new,
        "comparisons": [
            {**found.findings.drift(found.page), "drifted": bool(found.findings.drifted)}
            for found in outcome.comparisons
        ],
        "failure": None,
    }


def _of_failure(failure: Failure) -> dict[str, Any]:
    nothing = dict.fromkeys(["version", PUSHED_TO, UNCHANGED, "damaged", *_numbers({}, None)])
    return {
        "state": STATES.get(failure.kind, "failed"),
        "exit_code": failure.exit_code,
        **nothing,
        "reasons": [failure.sentence] if failure.kind == Kind.REFUSED else [],
        "notes": [],
        **dict.fromkeys(["serving", "report", "trained"]),
        "spans": [],
        "nothing_new": None,
        "comparisons": [],
        "failure": failure,
    }


def _numbers(candidate: Mapping[str, float], baseline: Mapping[str, float] | None) -> dict[str, Any]:
    """Returns the numbers of the gate, nats per image."""
    elbo, error = candidate.get("elbo"), candidate.get("elbo_standard_error")
    has_gain = baseline is not None and "elbo_gain" in candidate
    return {
        "elbo": elbo,
        "elbo_standard_error": error,
        "elbo_interval": None if elbo is None or error is None else interval(elbo, error),
        "independent_pixels": candidate.get("independent_pixels"),
        "images": int(candidate["images"]) if "images" in candidate else None,
        "baseline_elbo": baseline.get("elbo") if baseline else None,
        "gain": candidate["elbo_gain"] if has_gain else None,
        "gain_interval": (candidate["elbo_gain_lower"], candidate["elbo_gain_upper"]) if has_gain else None,
    }


def _nodes(run: RunExecutions) -> list[dict[str, Any]]:
    """Returns how each node ended, in the order of their start; those of a span have its number behind their name."""
    return [
        {
            "node": name,
            "result": RESULTS.get(execution.last_known_state, "unfinished"),
            "seconds": (execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000,
        }
        for name, execution in run.nodes.items()
    ]
