"""Reads every artifact, pushed model and checkpoint, and compares it with the digests that were written when it was
complete. Changes nothing.
"""

import argparse
import time

from pipeline.cli._errand import add_errand
from pipeline.cli._options import add_root, root_of
from pipeline.cli._output import add_json, print_json
from trainer.exit_codes import DONE, FAILED

HELP = "check every stored file of a state directory"
EXAMPLE = "verify --root vaeiaf"
GUIDE = "howto/doctor.md"
EPILOG = "Exit codes: 0 no damage, 1 damage, 2 no state directory."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the state directory and the form of the output."""
    add_root(parser)
    add_errand(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Verifies the state directory and prints what is damaged."""
    from pipeline.state.verify import verify

    started = time.monotonic()
    found = verify(root_of(options))
    if options.json:
        print_json(found)
        return FAILED if found.damage else DONE
    for what in found.damage:
        print(f"DAMAGED: {what}")
    if not found.has_metadata:
        print("No metadata.sqlite here: artifacts lost together with their digests are not missed.")
    seconds = time.monotonic() - started
    result = f"{len(found.damage)} damaged; the next run makes anew what it would use" if found.damage else "no damage"
    print(f"{found.folders} folders verified, {found.size / 1e6:,.0f} MB in {seconds:.1f} s: {result}.")
    return FAILED if found.damage else DONE
