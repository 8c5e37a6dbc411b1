"""Shows what is running, the last runs with their verdicts, and what is served."""

import argparse
import itertools
from typing import TYPE_CHECKING, Any

from pipeline.cli._options import root_of
from pipeline.cli._output import print_json, print_parts, styled, table
from pipeline.cli._state import add_state, duration, elbo, minute
from trainer.errors import UserError
from trainer.exit_codes import DONE

if TYPE_CHECKING:
    from pipeline.state.runs import Run
    from pipeline.state.served import Change, Version

HELP = "show what runs, the last verdicts, and what is served"
EXAMPLE = "status --root vaeiaf --last 5"
GUIDE = "howto/status.md"
STYLES = {"pushed": "green", "unchanged": "green", "refused": "yellow", "failed": "red", "running": "cyan"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the state directory and the number of runs."""
    add_state(parser)
    parser.add_argument("--last", type=int, metavar="N", default=10, help="number of runs (default: %(default)s)")


def check(options: argparse.Namespace) -> None:
    """Checks the number of runs."""
    if options.last < 1:
        raise UserError("--last", value=options.last, valid="at least 1")


def run(options: argparse.Namespace) -> int:
    """Prints the status."""
    from pipeline.state.executions import one_pipeline, open_store, pipelines_of
    from pipeline.state.runs import runs
    from pipeline.state.served import changes, pushed_versions

    root = root_of(options)
    store = open_store(root)
    pipelines = [one_pipeline(store, options.pipeline)] if options.pipeline else pipelines_of(store)
    found = list(itertools.islice(runs(store, root, options.pipeline), options.last))
    versions = [version for pipeline in pipelines for version in pushed_versions(store, root, pipeline)]
    served = {pipeline: _served(versions, pipeline) for pipeline in pipelines}
    changed = changes(store, pipelines)[: options.last]
    if options.json:
        print_json({"runs": found, "served": served, "changes": changed})
    else:
        _print(found, served, changed)
    return DONE


def _served(versions: "list[Version]", pipeline: str) -> "Version | None":
    return next((one for one in versions if one.pipeline == pipeline and one.state == "served"), None)


def _print(found: "list[Run]", served: "dict[str, Version | None]", changed: "list[Change]") -> None:
    for pipeline, version in served.items():
        print_parts(_serving(pipeline, version))
    names = {one.pipeline for one in found}
    rows: list[list[Any]] = [
        [
            minute(one.started),
            *([one.pipeline] if len(names) > 1 else []),
            styled(one.state if one.node is None else f"{one.state}: {one.node}", STYLES.get(one.state, "")),
            one.version if one.state in ("pushed", "unchanged") else "",
            elbo(one.elbo, one.standard_error),
            duration(one.seconds),
            one.run,
            one.reasons,
        ]
        for one in found
    ]
    heads = [
        "run",
        *(["pipeline"] if len(names) > 1 else []),
        "verdict",
        "version",
        ">ELBO, nats per image",
        ">took",
        "id",
        "reasons",
    ]
    print_parts("", table(heads, rows) if rows else "No run is recorded here.")
    if changed:
        rows = [[minute(one.time), *_change(one), one.who, one.reason] for one in changed]
        print_parts("", table(["changed", "what", "by", "why"], rows))


def _serving(pipeline: str, version: "Version | None") -> Any:
    if version is None:
        return f"{pipeline} serves nothing."
    of = f", which restores {version.restores}" if version.restores else ""
    number = elbo(version.elbo, version.standard_error) or "unknown"
    text = f"{pipeline} serves version {version.version}{of}, ELBO {number}"
    return styled(f"{text}. It is DAMAGED: {version.damage}", "red") if version.damage else f"{text}."


def _change(change: "Change") -> list[str]:
    served = f", served as {change.served}" if change.served else ""
    return [
        f"{change.change} {'to' if change.change == 'rollback' else 'of'} {change.version}{served}"
        + ("" if change.is_complete else ", not completed")
    ]
