"""Removes artifacts of old runs, old versions, and what killed runs left. What is served, what the gate compares with,
and what a remaining run read or wrote stays.
"""

import argparse
import contextlib
import datetime
import os
from typing import TYPE_CHECKING

from pipeline.cli._options import root_of
from pipeline.cli._output import print_json, waits_told
from pipeline.cli._state import add_state
from trainer.errors import UserError
from trainer.exit_codes import DONE

if TYPE_CHECKING:
    from pipeline.state.prune import Pruned

HELP = "remove old runs and versions"
EXAMPLE = "prune --root vaeiaf --keep 5 --older-than 30 --dry-run"
GUIDE = "howto/prune.md"
EPILOG = "Exit codes: 0 done, 1 in use by a run, or something cannot be removed, 2 bad input."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what to keep, and the state directory."""
    parser.add_argument("--keep", metavar="N", type=int, help="number of the newest runs, and of versions, that stay")
    parser.add_argument("--older-than", metavar="DAYS", type=float, help="remove nothing that is younger")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and change nothing")
    add_state(parser)


def check(options: argparse.Namespace) -> None:
    """Checks that something is to be removed."""
    if options.keep is None and options.older_than is None:
        raise UserError("nothing says what to remove", remedy="Give --keep, --older-than, or both")
    if options.keep is not None and options.keep < 1:
        raise UserError("--keep", value=options.keep, valid="at least 1")
    if options.older_than is not None and not options.older_than >= 0:
        raise UserError("--older-than", value=options.older_than, valid="a number of days, at least 0")


def run(options: argparse.Namespace) -> int:
    """Removes, and says what."""
    from pipeline.state.executions import is_shared, one_pipeline, open_store, pipelines_of
    from pipeline.state.prune import Rules, prune
    from pipeline.state.runs import LOCK
    from trainer.storage.lock import alone, is_held

    days = None if options.older_than is None else datetime.timedelta(days=options.older_than)
    rules, root = Rules(options.keep, options.keep, days), root_of(options)
    store = open_store(root)
    pipelines = [one_pipeline(store, options.pipeline)] if options.pipeline else pipelines_of(store)
    if is_shared(root) or options.dry_run:
        lock: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        is_alone = not is_shared(root) and not is_held(os.path.join(root, LOCK))
    else:
        lock, is_alone = alone(root, "run", "--root"), True
    with waits_told(), lock:
        found = [prune(store, root, one, rules, is_alone, options.dry_run) for one in pipelines]
    if options.json:
        print_json(found)
    else:
        for pruned in found:
            _print(pruned, options.dry_run)
    return DONE


def _print(pruned: "Pruned", dry_run: bool) -> None:
    from pipeline.retention import removed

    text = removed(pruned) or "nothing removed"
    print(f"{pruned.pipeline}: {text.replace('removed', 'would be removed') if dry_run else text}.")
    if dry_run:
        for name in (*pruned.versions, *pruned.withdrawn, *pruned.runs, *pruned.leftovers):
            print(f"  {name}")
