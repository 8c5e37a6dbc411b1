"""Ingests, validates, transforms, trains, evaluates and pushes, on this machine. Unchanged steps are reused from
earlier runs.
"""

import argparse
import contextlib
import datetime
import os
import shlex
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.cli._options import add_settings, config_of
from pipeline.cli._output import add_json, print_json
from pipeline.console import Story, console
from pipeline.failures import failure_of
from pipeline.settings import NOTIFY_SECRET, PipelineConfig
from pipeline.state.root import open_root
from pipeline.words import describe
from trainer.errors import ReportedError
from trainer.exit_codes import DONE, REFUSED
from trainer.failure import FILE, Failure, Kind, leave
from trainer.interrupt import interruptible

if TYPE_CHECKING:
    from pipeline.notify.webhook import Webhook
    from pipeline.outcome import Outcome

HELP = "run the pipeline on this machine"
EXAMPLE = "run --dataset photo_patches --preset smoke"
GUIDE = "tutorial/first-run.md"
EPILOG = (
    "Exit codes: 0 pushed or unchanged, 1 failed, 2 bad input, 3 refused by the gate, or stopped by drift, "
    "129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM. With --json the story goes to standard error, and a run that "
    "began ends with one object, whatever its end."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the settings of a run, and the form of the output."""
    add_settings(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Runs the pipeline and tells its story."""
    config = config_of(options)
    webhook = _webhook(config)
    run_id = datetime.datetime.now().isoformat()
    with interruptible():
        try:
            with open_root(config) as log_file:
                with console(log_file, descriptor=2 if options.json else 1) as story:
                    ended = _run(config, run_id, webhook, log_file, story)
                if options.json:
                    print_json({**_facts(config, run_id, ended), "log": log_file})
                return _exit_code(ended)
        except ReportedError as error:  # of the state directory: no component ran
            _notify(webhook, config, run_id, error.failure, print)
            raise


def _run(
    config: PipelineConfig, run_id: str, webhook: "Webhook | None", log_file: str, story: Story
) -> "Outcome | Failure":
    try:
        from pipeline import local
        from pipeline.index.writing import refresh
        from pipeline.retention import retain
        from pipeline.state.executions import open_store

        outcome = local.run(config, run_id, story)
    except Exception as error:
        traceback.print_exc()  # to the log file
        failure = failure_of(error, config.root)
        leave(failure, f"{log_file.removesuffix('.log')}.{FILE}")
        story.say(f"\nvaeiaf: {failure}\nLog: {log_file}")
        if failure.kind == Kind.STOPPED:
            _say_kept(config, run_id, story)
        _notify(webhook, config, run_id, failure, story.say, log_file)
        _show_failed(config)
        return failure
    story.say(f"\n{describe(outcome)}")
    if outcome.push.pushed_to:
        volume = shlex.quote(f"{os.path.dirname(outcome.push.pushed_to)}:/models/vaeiaf")
        story.say(f"Serve:  docker run -p 8501:8501 -e MODEL_NAME=vaeiaf -v {volume} tensorflow/serving")
    _notify(webhook, config, run_id, outcome, story.say)
    retain(config, run_id, lambda: open_store(config.root), True, story.say)
    refresh(config.root, lambda: open_store(config.root), story.say)
    return outcome


def _exit_code(ended: "Outcome | Failure") -> int:
    if isinstance(ended, Failure):
        return ended.exit_code
    return DONE if ended.verdict.blessed or ended.nothing_new else REFUSED


def _facts(config: PipelineConfig, run_id: str, ended: "Outcome | Failure") -> dict[str, Any]:
    from pipeline.facts import run_facts
    from pipeline.state.executions import find_run, open_store

    nodes = None
    with contextlib.suppress(ReportedError):  # a database that is away has been reported
        nodes = find_run(open_store(config.root), config.name, run_id)
    return run_facts(config.name, run_id, ended, nodes)


def _say_kept(config: PipelineConfig, run_id: str, story: Story) -> None:
    from pipeline.kept import kept

    with contextlib.suppress(ReportedError):  # a database that is away has been reported
        story.say(kept(config, run_id))


def _show_failed(config: PipelineConfig) -> None:
    """Renews the page of all runs if the database answers at once; the run has already waited and reported."""
    from pipeline.index.writing import refresh
    from pipeline.state.executions import open_store

    refresh(config.root, lambda: open_store(config.root, away_seconds=0.0), lambda _: None)


def _webhook(config: PipelineConfig) -> "Webhook | None":
    """Returns the webhook of the run, if it has one.

    Raises:
      UserError: the secret is invalid.
    """
    if not config.notify_url:
        return None
    from pipeline.notify.webhook import Webhook

    return Webhook.of(config.notify_url, os.environ.pop(NOTIFY_SECRET, None))  # workers do not inherit it


def _notify(
    webhook: "Webhook | None",
    config: PipelineConfig,
    run_id: str,
    ended: "Outcome | Failure",
    say: Callable[[str], Any],
    log: str | None = None,
) -> None:
    if webhook is None:
        return
    from pipeline.notify.events import Ending, of_drift, of_failure, of_outcome
    from pipeline.notify.webhook import SECONDS, STOPPED_SECONDS, notify

    ending = Ending(config.name, run_id, datetime.datetime.now(datetime.UTC))
    if isinstance(ended, Failure):
        seconds = STOPPED_SECONDS if ended.kind == Kind.STOPPED else SECONDS
        notify(webhook, of_failure(ending, ended, log=log), say, seconds)
        return
    for event in (*of_drift(ending, ended), of_outcome(ending, ended, config)):
        if event:
            notify(webhook, event, say)
