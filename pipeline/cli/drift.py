"""Compares two sets of images: their brightness, contrast, saturation, sharpness, entropy, file sizes and labels, and
the ELBO of a model on their test images. Each is a path of images, as run takes it with --data, or the name of a TFDS
data set. Changes no result of a run.
"""

import argparse
import pathlib

from pipeline.cli._errand import add_errand
from pipeline.cli._models import MODEL, checked_file, path_of, quiet
from pipeline.cli._options import add_root, add_some, given_of
from pipeline.cli._output import add_json, print_json, print_parts
from pipeline.settings import PipelineConfig
from pipeline.words import describe_drift
from trainer.exit_codes import DONE, REFUSED

HELP = "compare two sets of images"
EXAMPLE = "drift photos/2026-01-02 photos/2026-01-03"
GUIDE = "howto/drift.md"
EPILOG = (
    "Exit codes: 0 no drift, 1 a disk or a damaged model, 2 bad input, 3 drift beyond the threshold, 130 and 143 "
    "stopped by SIGINT and SIGTERM."
)
SETTINGS = ("drift_threshold", "data_dir", "manual_dir", "test_share", "image_shape", "max_unreadable")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the two sets, and what is needed to compare them."""
    parser.add_argument("a", metavar="A", help="path or TFDS name of the one set")
    parser.add_argument("b", metavar="B", help="path or TFDS name of the other")
    parser.add_argument("--model", metavar="MODEL", help=f"whose ELBO is compared: {MODEL} (default: no ELBO)")
    parser.add_argument("--output", metavar="FILE.html", help="page with both histograms of each figure")
    add_json(parser)
    add_some(parser, SETTINGS)
    add_root(parser)
    add_errand(parser)


def check(options: argparse.Namespace) -> None:
    """Checks the name of the page."""
    options.output = options.output and checked_file(options.output, [".html"])


def run(options: argparse.Namespace) -> int:
    """Compares the sets and prints a table."""
    output = options.output
    model = options.model and path_of(options)
    config = PipelineConfig(allow_shared_images=True, **given_of(options, (*SETTINGS, "root")))
    with quiet():
        from components.drift.page import render
        from pipeline.comparison import compare_data
        from trainer.storage.atomic import whole

        found = compare_data((options.a, options.b), config, model)
        if output:
            with whole("the page", output) as unfinished:
                pathlib.Path(unfinished).write_text(render(found))
    if options.json:
        print_json(found)
    else:
        print_parts(describe_drift(found))
    return REFUSED if found.drifted else DONE
