"""Serves the model of an earlier version again, as a new version, which a model server loads by itself. It is the
baseline of the next run.
"""

import argparse
from typing import TYPE_CHECKING

from pipeline.cli._author import add_author, author_of
from pipeline.cli._options import root_of
from pipeline.cli._output import print_json, waits_told, warn
from pipeline.cli._state import add_state
from trainer.exit_codes import DONE

if TYPE_CHECKING:
    from pipeline.state.change import Changed

HELP = "serve an earlier version again"
EXAMPLE = 'rollback --root vaeiaf --reason "samples are grey since Tuesday"'
GUIDE = "howto/rollback.md"
EPILOG = "Exit codes: 0 it is served, 1 it is damaged or cannot be copied, 2 bad input."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the version, the state directory and the author."""
    help_ = "to roll back to (default: the newest intact one before the served one, of another model)"
    parser.add_argument("version", metavar="VERSION", type=int, nargs="?", help=help_)
    add_author(parser)
    add_state(parser)


def run(options: argparse.Namespace) -> int:
    """Rolls back, and says what is served."""
    from pipeline.index.writing import refresh
    from pipeline.state.change import roll_back
    from pipeline.state.executions import one_pipeline, open_store

    author, root = author_of(options), root_of(options)
    store = open_store(root)
    with waits_told():
        changed = roll_back(store, root, one_pipeline(store, options.pipeline), options.version, author)
    refresh(root, lambda: store, warn)
    if options.json:
        print_json(changed)
    else:
        print(f"{changed.pipeline} serves version {changed.served}, the model of {changed.restores}. {_next(changed)}")
    return DONE


def _next(changed: "Changed") -> str:
    return (
        f"It is the baseline of the next run, which may push the model of {changed.before} again if the gate allows: "
        f"vaeiaf withdraw {changed.before} prevents that."
    )
