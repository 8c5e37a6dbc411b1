"""Opens the report of the last run in the browser, and prints its path. Without a desktop it only prints it."""

import argparse
import os
import pathlib
import sys
import webbrowser

from pipeline.cli._errand import add_errand
from pipeline.cli._models import checked_file
from pipeline.cli._options import add_root, root_of
from pipeline.cli._output import add_json, print_json
from pipeline.cli._state import add_pipeline
from trainer.exit_codes import DONE

HELP = "open the report of a run"
EXAMPLE = "open --root vaeiaf"
GUIDE = "howto/report.md"
COPY = "vaeiaf-report.html"  # of a report on a cluster


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the run, the state directory and the file for a copy."""
    parser.add_argument(
        "--run", dest="run_id", metavar="ID", help="as vaeiaf status shows it (default: the last report)"
    )
    add_root(parser)
    add_errand(parser)
    parser.add_argument(
        "--output",
        metavar="FILE.html",
        help=f"copy the page, which needs no other file, to this one and open that (default with --cluster: {COPY})",
    )
    add_pipeline(parser)
    add_json(parser)


def check(options: argparse.Namespace) -> None:
    """Checks the name of the copy."""
    output = options.output or (COPY if options.errand else None)
    options.output = output and checked_file(output, [".html"])


def run(options: argparse.Namespace) -> int:
    """Opens the report, or a copy of it."""
    from pipeline.state.executions import one_pipeline, open_store
    from pipeline.state.reports import report_of

    store = open_store(root_of(options))
    found = report_of(store, one_pipeline(store, options.pipeline), options.run_id)
    if options.output:
        from trainer.storage.atomic import whole

        content = pathlib.Path(found.path).read_bytes()
        with whole("the report", options.output) as unfinished:
            pathlib.Path(unfinished).write_bytes(content)
        found = found._replace(path=options.output)
    if options.json:
        print_json(found)
        return DONE
    print(found.path, flush=True)
    _show(found.path)
    return DONE


def arrived(options: argparse.Namespace) -> None:
    """Opens the copy of a report on a cluster."""
    if not options.json:
        _show(options.output)


def _show(path: str) -> None:
    if _has_desktop():
        webbrowser.open(pathlib.Path(path).as_uri())


def _has_desktop() -> bool:
    return sys.stdout.isatty() and (
        sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )
