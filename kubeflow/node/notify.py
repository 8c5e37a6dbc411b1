"""The exit handler: tells the webhook how the run ended. `python -m kubeflow.node.notify`, with run_node's arguments.

Kubeflow runs it after the last task, or after a task failed for good, whatever became of its pod. It reads what the
tasks left, because Kubeflow tells an exit handler only that one failed.

Exit codes: 0 pushed, unchanged or refused; the failure's own after a failed run, so that Retry in the UI runs this
again (it keeps tasks that succeeded). A webhook that does not answer changes no exit code.
"""

import datetime
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from cloudevents.core.base import BaseCloudEvent

from kubeflow.node.ending import Failed, ending
from kubeflow.node.supervisor import fail
from kubeflow.node.task import read_options
from kubeflow.spec.cluster import Cluster, Notify
from kubeflow.spec.parameters import run_config
from pipeline.console import Story, console
from pipeline.notify.events import Ending, of_drift, of_failure, of_outcome
from pipeline.notify.webhook import Webhook, notify
from pipeline.settings import NOTIFY_SECRET
from trainer.errors import ReportedError, UserError
from trainer.exit_codes import DONE
from trainer.failure import Failure
from trainer.interrupt import interruptible

PIPELINE = "vaeiaf"  # the source of the event, of a run whose parameters are invalid


def main(arguments: list[str] | None = None) -> int:
    """Tells the webhook how the run ended, and returns the exit code."""
    options, run_id, values = read_options("kubeflow.node.notify", arguments)
    with console(os.devnull) as story, interruptible():  # no log on the volume, whose loss is a failure to report
        try:
            return _tell(Cluster(**options.cluster), run_id, values, story)
        except ReportedError as error:
            story.say(f"vaeiaf: {error}")
            return fail(error.failure)


def _tell(cluster: Cluster, run_id: str, values: Mapping[str, Any], story: Story) -> int:
    events, failure = _ended(cluster, run_id, values)
    for event in events:
        if cluster.notify:
            _deliver(cluster.notify, event, story)
    return fail(failure) if failure else DONE


def _deliver(settings: Notify, event: BaseCloudEvent, story: Story) -> None:
    try:
        notify(_webhook(settings), event, story.say)
    except UserError as error:
        story.say(f"{event.get_type()} was not delivered: {error}")


def _ended(cluster: Cluster, run_id: str, values: Mapping[str, Any]) -> tuple[list[BaseCloudEvent], Failure | None]:
    """Returns the events of the run's end, and the failure, if it failed."""
    logs = pathlib.Path(cluster.volume.path, "logs", run_id)
    time = _last_written(logs)
    try:
        config = run_config(values, cluster)
    except ReportedError as error:  # no task could run
        return [of_failure(Ending(PIPELINE, run_id, time), error.failure)], error.failure
    name, ended = Ending(config.name, run_id, time), ending(cluster, config, run_id, logs)
    if not isinstance(ended, Failed):
        events = (*of_drift(name, ended), of_outcome(name, ended, config))
        return [event for event in events if event], None
    log = logs / f"{ended.task}.log"
    return [of_failure(name, ended.failure, task=ended.task, log=str(log) if log.exists() else None)], ended.failure


def _webhook(settings: Notify) -> Webhook:
    """Returns the webhook.

    Raises:
      UserError: it has a secret, which is missing or invalid.
    """
    secret = os.environ.get(NOTIFY_SECRET)
    if settings.secret and not secret:
        raise UserError(
            f"the Secret {settings.secret.name} has no key {settings.secret.key}",
            value=settings.secret.name,
            remedy="Create it in the namespace of the runs",
        )
    return Webhook.of(settings.url, secret)


def _last_written(logs: pathlib.Path) -> datetime.datetime:
    """Returns the time of the last write to the run's logs, the same for every attempt at this pod; else now."""
    try:
        return max(datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC) for path in logs.iterdir())
    except (OSError, ValueError):  # ValueError: no task wrote anything
        return datetime.datetime.now(datetime.UTC)


if __name__ == "__main__":
    sys.exit(main())
