"""Compares two sets of images: their brightness, contrast, saturation, sharpness, entropy, file sizes and labels, and
the ELBO of a model on their test images. Each is a path of images, as run takes it with --data, or the name of a TFDS
data set.
"""

import argparse
import os
import pathlib
import shutil
import tempfile
import traceback

from pipeline.cli._options import add_some, given_of
from pipeline.console import Story, console
from pipeline.failures import failure_of
from pipeline.settings import PipelineConfig
from pipeline.words import FAILED, PUSHED, REFUSED, describe_drift
from trainer.errors import UserError
from trainer.interrupt import interruptible

HELP = "compare two sets of images"
EPILOG = "Exit codes: 0 no drift, 1 failed, 2 bad input, 3 drift beyond the threshold."
SETTINGS = ("drift_threshold", "data_dir", "manual_dir", "test_share", "image_shape", "max_unreadable")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the two sets, and what is needed to compare them."""
    parser.add_argument("a", metavar="A", help="path or TFDS name of the one set")
    parser.add_argument("b", metavar="B", help="path or TFDS name of the other")
    parser.add_argument("--model", metavar="FOLDER", help="served version whose ELBO is compared; none: no ELBO")
    parser.add_argument("--output", metavar="FILE", help="page with both histograms of each figure, written as HTML")
    parser.add_argument("--json", action="store_true", help="print all figures and histograms as JSON")
    add_some(parser, SETTINGS)


def run(options: argparse.Namespace) -> int:
    """Compares the sets and prints a table."""
    if options.model and not os.path.isfile(os.path.join(options.model, "saved_model.pb")):
        remedy = "Name the folder of a version, such as vaeiaf/pushed/vaeiaf-cifar10/1795672750"
        raise UserError(f"--model {options.model} is no SavedModel", value=options.model, remedy=remedy)
    folder = tempfile.mkdtemp(prefix="vaeiaf-drift-")
    config = PipelineConfig(root=folder, allow_shared_images=True, **given_of(options, SETTINGS))
    log_file = os.path.join(folder, "drift.log")
    code = FAILED
    try:
        with interruptible(), console(log_file) as story:
            code = _run(options, config, log_file, story)
    finally:
        if code != FAILED:
            shutil.rmtree(folder, ignore_errors=True)
    return code


def _run(options: argparse.Namespace, config: PipelineConfig, log_file: str, story: Story) -> int:
    if options.json:
        story.silence()
    try:
        from components.drift.page import render
        from pipeline.comparison import compare_data

        found = compare_data((options.a, options.b), config, options.model, story)
        if options.output:
            pathlib.Path(options.output).write_text(render(found))
    except Exception as error:
        traceback.print_exc()  # to the log file
        failure = failure_of(error, config.root, "the next comparison")
        log = f"\nLog: {log_file}" if failure.exit_code == FAILED else ""
        story.say(f"vaeiaf: {failure}{log}")
        return failure.exit_code
    story.say(found.to_json() if options.json else describe_drift(found))
    return REFUSED if found.drifted else PUSHED
