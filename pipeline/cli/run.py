"""Ingests, validates, transforms, trains, evaluates and pushes, on this machine. Unchanged steps are reused from
earlier runs.
"""

import argparse
import os
import shlex
import traceback

from pipeline.cli._options import add_settings, config_of
from pipeline.console import Story, console
from pipeline.failures import failure_of
from pipeline.settings import PipelineConfig
from pipeline.state.root import open_root
from pipeline.words import PUSHED, REFUSED, describe
from trainer.failure import FILE, leave
from trainer.interrupt import interruptible

HELP = "run the pipeline on this machine"
EPILOG = (
    "Exit codes: 0 pushed or unchanged, 1 failed, 2 bad input, 3 refused by the gate, "
    "129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM."
)
add_options = add_settings


def run(options: argparse.Namespace) -> int:
    """Runs the pipeline and tells its story."""
    config = config_of(options)
    with interruptible(), open_root(config) as log_file, console(log_file) as story:
        return _run(config, log_file, story)


def _run(config: PipelineConfig, log_file: str, story: Story) -> int:
    try:
        from pipeline import local

        outcome = local.run(config, story)
    except Exception as error:
        traceback.print_exc()  # to the log file
        failure = failure_of(error, config.root)
        leave(failure, f"{log_file.removesuffix('.log')}.{FILE}")
        story.say(f"\nvaeiaf: {failure}\nLog: {log_file}")
        return failure.exit_code
    story.say(f"\n{describe(outcome)}")
    if outcome.push.pushed_to:
        volume = shlex.quote(f"{os.path.dirname(outcome.push.pushed_to)}:/models/vaeiaf")
        story.say(f"Serve:  docker run -p 8501:8501 -e MODEL_NAME=vaeiaf -v {volume} tensorflow/serving")
    return PUSHED if outcome.verdict.blessed else REFUSED
