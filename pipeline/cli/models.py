"""Lists the pushed versions: when, by which run, how good, how large, intact or not, served or not."""

import argparse
from typing import TYPE_CHECKING, Any

from pipeline.cli._options import root_of
from pipeline.cli._output import print_json, print_parts, styled, table
from pipeline.cli._state import add_state, elbo, minute, size
from trainer.exit_codes import DONE, FAILED

if TYPE_CHECKING:
    from pipeline.state.served import Version

HELP = "list the pushed versions"
EXAMPLE = "models --root vaeiaf"
GUIDE = "howto/status.md"
EPILOG = "Exit codes: 0 all are intact, 1 a version is damaged, 2 bad input."
STYLES = {"served": "bold green", "withdrawn": "dim"}
DIGITS = 12  # of a digest, in a table
add_options = add_state


def run(options: argparse.Namespace) -> int:
    """Prints the versions."""
    from pipeline.state.executions import one_pipeline, open_store, pipelines_of
    from pipeline.state.served import pushed_versions

    root = root_of(options)
    store = open_store(root)
    pipelines = [one_pipeline(store, options.pipeline)] if options.pipeline else pipelines_of(store)
    found = {pipeline: pushed_versions(store, root, pipeline) for pipeline in pipelines}
    if options.json:
        print_json([version for versions in found.values() for version in versions])
    else:
        for pipeline, versions in found.items():
            print_parts(*_parts(pipeline, versions))
    return FAILED if any(version.damage for versions in found.values() for version in versions) else DONE


def _parts(pipeline: str, versions: "list[Version]") -> list[Any]:
    if not versions:
        return [f"{pipeline} has no version."]
    heads = ["version", "pushed", "state", ">ELBO, nats per image", ">size", "digest", "files", "run", "notes"]
    rows = [
        [
            one.version,
            minute(one.time),
            styled(one.state, STYLES.get(one.state, "")),
            elbo(one.elbo, one.standard_error),
            size(one.size),
            one.digest[:DIGITS],
            styled("DAMAGED", "red") if one.damage else "intact" if one.size else "removed",
            one.run,
            _notes(one),
        ]
        for one in versions
    ]
    cards = [f"Model card of {one.version}: {one.card}" for one in versions if one.state == "served" and one.card]
    return [pipeline, table(heads, rows), *cards]


def _notes(version: "Version") -> str:
    notes = [
        f"a copy of {version.restores}" if version.restores else "",
        f"withdrawn by {version.withdrawn.who}: {version.withdrawn.reason}" if version.withdrawn else "",
        version.damage or "",
    ]
    return "; ".join(filter(None, notes))
