"""Writes a page about all runs: their ELBO over time with pushes, refusals, drift and changes of what is served, and
links to the report of each run. The page is index.html in the state directory, which may be copied or served as a
whole. vaeiaf open shows the report of one run.
"""

import argparse
import os

from pipeline.cli._models import checked_file
from pipeline.cli._options import root_of
from pipeline.cli._output import print_json
from pipeline.cli._state import add_state
from trainer.errors import UserError
from trainer.exit_codes import DONE

HELP = "write a page about all runs"
EXAMPLE = "report --series --root vaeiaf"
GUIDE = "howto/report.md"
COPY = "vaeiaf-runs.html"  # of the page of a cluster


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the subject, the state directory and the file."""
    parser.add_argument("--series", action="store_true", help="about all runs, over time")
    add_state(parser)
    parser.add_argument(
        "--output",
        metavar="FILE.html",
        help="write the page here and not into the state directory, without links to what is there (default with "
        f"--cluster: {COPY})",
    )


def check(options: argparse.Namespace) -> None:
    """Checks the subject, and the name of the file."""
    if not options.series:
        raise UserError("report needs a subject", remedy="Add --series; vaeiaf open shows the report of one run")
    output = options.output or (COPY if options.errand else None)
    options.output = output and checked_file(output, [".html"])


def run(options: argparse.Namespace) -> int:
    """Writes the page, and says where it is."""
    from pipeline.index.writing import PAGE, write_index
    from pipeline.state.executions import one_pipeline, open_store, pipelines_of

    root = root_of(options)
    store = open_store(root)
    pipelines = [one_pipeline(store, options.pipeline)] if options.pipeline else pipelines_of(store)
    inside = os.path.join(root, f"index-{options.pipeline}.html" if options.pipeline else PAGE)
    path = options.output or inside
    series = write_index(store, root, pipelines, path)
    if options.json:
        print_json({"path": path, "series": series})
    else:
        print(path)
    return DONE
