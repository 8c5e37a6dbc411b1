"""Withdraws a version and every other one of the same model: it is not served, no rollback chooses it, and no run
pushes it again. If it is served, the model before it takes its place, as a new version.
"""

import argparse

from pipeline.cli._author import add_author, author_of
from pipeline.cli._options import root_of
from pipeline.cli._output import print_json, waits_told, warn
from pipeline.cli._state import add_state
from trainer.exit_codes import DONE

HELP = "withdraw a version for good"
EXAMPLE = 'withdraw 1795649102 --root vaeiaf --reason "trained on the wrong photographs"'
GUIDE = "howto/rollback.md"
EPILOG = "Exit codes: 0 it is withdrawn, 1 what takes its place is damaged or cannot be copied, 2 bad input."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the version, what takes its place, the state directory and the author."""
    parser.add_argument("version", metavar="VERSION", type=int, help="to withdraw")
    parser.add_argument(
        "--serve",
        metavar="VERSION",
        type=_version_or_nothing,
        help="what takes its place if it is served, or nothing (default: the newest intact one before it)",
    )
    add_author(parser)
    add_state(parser)


def run(options: argparse.Namespace) -> int:
    """Withdraws the version, and says what is served."""
    from pipeline.index.writing import refresh
    from pipeline.state.change import withdraw_version
    from pipeline.state.executions import one_pipeline, open_store

    author, root = author_of(options), root_of(options)
    store = open_store(root)
    pipeline = one_pipeline(store, options.pipeline)
    with waits_told():
        changed = withdraw_version(store, root, pipeline, options.version, author, options.serve)
    refresh(root, lambda: store, warn)
    if options.json:
        print_json(changed)
        return DONE
    of = f", the model of {changed.restores}" if changed.restores else ""
    serves = f"serves version {changed.served}{of}" if changed.served else "serves nothing"
    print(f"Withdrawn: {', '.join(map(str, changed.withdrawn))}. {pipeline} {serves}.")
    return DONE


def _version_or_nothing(text: str) -> int | str:
    if text == "nothing":
        return text
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a version, or nothing, got {text!r}")
    return int(text)
