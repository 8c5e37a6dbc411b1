"""Opens the report of the last run in the browser, and prints its path. Without a desktop it only prints it."""

import argparse
import os
import pathlib
import sys
import webbrowser

from pipeline.cli._options import add_root, root_of
from pipeline.cli._output import add_json, print_json
from pipeline.cli._state import add_pipeline
from pipeline.words import PUSHED

HELP = "open the report of a run"
EXAMPLE = "open --root vaeiaf"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the run and the state directory."""
    parser.add_argument(
        "--run", dest="run_id", metavar="ID", help="as vaeiaf status shows it (default: the last report)"
    )
    add_root(parser)
    add_pipeline(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Opens the report."""
    from pipeline.state.executions import one_pipeline, open_store
    from pipeline.state.reports import report_of

    store = open_store(root_of(options))
    found = report_of(store, one_pipeline(store, options.pipeline), options.run_id)
    if options.json:
        print_json(found)
        return PUSHED
    print(found.path, flush=True)
    if _has_desktop():
        webbrowser.open(pathlib.Path(found.path).as_uri())
    return PUSHED


def _has_desktop() -> bool:
    return sys.stdout.isatty() and (
        sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )
