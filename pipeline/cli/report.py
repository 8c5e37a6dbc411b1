"""Writes a page about all runs: their ELBO over time with pushes, refusals, drift and changes of what is served, and
links to the report of each run. The page is index.html in the state directory, which may be copied or served as a
whole. vaeiaf open shows the report of one run.
"""

import argparse
import os

from pipeline.cli._options import root_of
from pipeline.cli._output import print_json
from pipeline.cli._state import add_state
from pipeline.words import PUSHED
from trainer.errors import UserError

HELP = "write a page about all runs"
EXAMPLE = "report --series --root vaeiaf"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the subject and the state directory."""
    parser.add_argument("--series", action="store_true", help="about all runs, over time")
    add_state(parser)


def run(options: argparse.Namespace) -> int:
    """Writes the page, and says where it is."""
    from pipeline.index.writing import PAGE, write_index
    from pipeline.state.executions import one_pipeline, open_store, pipelines_of

    if not options.series:
        raise UserError("report needs a subject", remedy="Add --series; vaeiaf open shows the report of one run")
    root = root_of(options)
    store = open_store(root)
    pipelines = [one_pipeline(store, options.pipeline)] if options.pipeline else pipelines_of(store)
    path = os.path.join(root, f"index-{options.pipeline}.html" if options.pipeline else PAGE)
    series = write_index(store, root, pipelines, path)
    if options.json:
        print_json({"path": path, "series": series})
        return PUSHED
    print(path)
    return PUSHED
