"""Compares two sets of images: their brightness, contrast, saturation, sharpness, entropy, file sizes and labels, and
the ELBO of a model on their test images. Each is a path of images, as run takes it with --data, or the name of a TFDS
data set.
"""

import argparse
import dataclasses
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
from trainer.errors import ReportedError, UserError
from trainer.interrupt import interruptible

HELP = "compare two sets of images"
EXAMPLE = "drift photos/2026-01-02 photos/2026-01-03"
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
    _check(options.model, options.output)
    folder = tempfile.mkdtemp(prefix="vaeiaf-drift-")
    log_file, keep = os.path.join(folder, "drift.log"), False
    try:
        config = PipelineConfig(root=folder, allow_shared_images=True, **given_of(options, SETTINGS))
        with interruptible(), console(log_file) as story:
            try:
                return _run(options, config, story)
            except Exception:
                traceback.print_exc()  # to the log file
                raise
    except ReportedError:
        raise
    except Exception as error:
        failure = failure_of(error, folder, "the next comparison")
        if keep := failure.exit_code == FAILED:
            failure = dataclasses.replace(failure, remedy=". ".join(filter(None, [failure.remedy, f"Log: {log_file}"])))
        raise ReportedError.of(failure) from error
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _check(model: str | None, output: str | None) -> None:
    """Raises UserError if the model is none, or the page could not be written."""
    if model and not os.path.isfile(os.path.join(model, "saved_model.pb")):
        remedy = "Name the folder of a version, such as vaeiaf/pushed/vaeiaf-cifar10/1795672750"
        raise UserError(f"--model {model} is no SavedModel", value=model, remedy=remedy)
    if output and not os.path.isdir(os.path.dirname(os.path.abspath(output))):
        raise UserError(f"--output {output} is in no folder that exists", value=output, remedy="Create the folder")


def _run(options: argparse.Namespace, config: PipelineConfig, story: Story) -> int:
    if options.json:
        story.silence()
    from components.drift.page import render
    from pipeline.comparison import compare_data
    from trainer.storage.atomic import whole

    found = compare_data((options.a, options.b), config, options.model, story)
    if options.output:
        with whole("the page", options.output) as unfinished:
            pathlib.Path(unfinished).write_text(render(found))
    story.say(found.to_json() if options.json else describe_drift(found))
    return REFUSED if found.drifted else PUSHED
