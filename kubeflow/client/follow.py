"""Follows a run to its end."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from kubeflow.client.api import Api, ApiError
from kubeflow.client.argo import pods
from kubeflow.client.failures import failures, outcome
from kubeflow.spec.tasks import NOTIFY
from trainer.errors import InterruptError
from trainer.exit_codes import BAD_INPUT, DONE, FAILED, REFUSED
from trainer.failure import Failure, Kind

POLL_SECONDS = 5.0
PATIENCE = 900.0  # seconds that the API may be away
DRIVER = "-driver"  # behind the name of a task, in the name of its driver
NOT_TASKS = {"root", "exit-handler-1", NOTIFY}  # graphs, and the exit handler, which fails after a failed run
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
UNTOLD = "Done: the model was pushed, or is unchanged. Kubeflow does not hand out the numbers, which are on its page"
SILENT = "it left no message; see its log"
WITHHELD = "Kubeflow does not hand out its message; see its log, which may also say that the gate refused"


class TaskEnd(NamedTuple):
    """How a task ended, or where it was when the run ended."""

    task: str
    state: str  # as Kubeflow calls it, in lower case
    seconds: float


class End(NamedTuple):
    """How a run ended."""

    code: int  # 0 pushed or unchanged, 3 refused by the gate, 2 bad input that a task found, 1 failed or terminated
    state: str  # done, refused, failed or terminated
    text: str  # the outcome, with a link
    tasks: list[TaskEnd]
    failures: dict[str, Failure]  # by the tasks that failed the run
    facts: dict[str, Any] | None = None  # of a success, as `vaeiaf run --json` has them, if Kubeflow hands them out


def follow(api: Api, run: str, say: Callable[[str], Any]) -> End:
    """Says a line for each change in the state of a task, and returns the end.

    Raises:
      InterruptError: a signal; the run continues.
      ApiError: Kubeflow was away for PATIENCE seconds, or refuses to answer; the run continues.
    """
    known: dict[str, str] = {}
    try:
        while True:
            state = api.ask("look at the run", api.client.runs.run_service_get_run, run, patience=PATIENCE)
            tasks = _latest((state.run_details and state.run_details.task_details) or [])
            own = [task for task in tasks if task.display_name in _names(tasks)]
            _tell(own, known, say)
            if state.state in ENDED:
                ends = [TaskEnd(task.display_name, str(task.state).lower(), _seconds(task)) for task in own]
                return _end(api, state, tasks, ends)
            time.sleep(POLL_SECONDS)
    except InterruptError:
        say(f"\nNo longer followed; the run continues: {api.url(run)}")
        raise
    except ApiError as error:
        remedy = ". ".join(filter(None, [error.failure.remedy, f"The run itself continues: {api.url(run)}"]))
        raise ApiError(error.failure.sentence, status=error.status, remedy=remedy, cause=error.failure.cause) from None


def _latest(tasks: list[Any]) -> list[Any]:
    """Returns the last task of each name, in order of the first start: Argo lists those of a retried graph again."""
    began = sorted(tasks, key=lambda task: task.start_time.timestamp() if task.start_time else 0.0)
    return list({task.display_name: task for task in began}.values())


def _names(tasks: list[Any]) -> set[str]:
    """Returns the names of the pipeline's tasks: Kubeflow lists what Argo does for them too."""
    shown = {task.display_name for task in tasks}
    return {name.removesuffix(DRIVER) for name in shown if name.endswith(DRIVER)} - NOT_TASKS


def _tell(tasks: list[Any], known: dict[str, str], say: Callable[[str], Any]) -> None:
    """Says a line for each task whose state differs from the `known` one."""
    for task in tasks:
        if task.state and task.state != known.get(task.display_name):
            known[task.display_name] = task.state
            took = f"{_seconds(task):>8.0f} s" if task.state in ENDED else ""
            say(f"{task.display_name:<24}{task.state.lower():<10}{took}".rstrip())


def _seconds(task: Any) -> float:
    if not task.start_time or not task.end_time:
        return 0.0
    return max(0.0, (task.end_time - task.start_time).total_seconds())


def _end(api: Api, run: Any, tasks: list[Any], ends: list[TaskEnd]) -> End:
    """Returns how a run ended."""
    url, found = api.url(run.run_id), pods(api, run.run_id)
    if run.state == "SUCCEEDED":
        told = outcome(api, run.run_id, found)
        return End(DONE, "done", f"{told.text if told else UNTOLD}\n{url}", ends, {}, told and told.facts)
    failed = [task.display_name for task in tasks if task.state == "FAILED"]
    lost = sorted({shown.removesuffix(DRIVER) for shown in failed} & _names(tasks))
    left = {task.removesuffix(DRIVER): failure for task, failure in failures(found).items()}
    of_lost = {task: left[task] for task in lost if task in left}
    kinds = {of_lost[task].kind if task in of_lost else None for task in lost}
    if kinds == {Kind.REFUSED}:
        text = f"REFUSED by the gate: {'; '.join(str(left[task]) for task in lost)}. {url}"
        return End(REFUSED, "refused", text, ends, of_lost)
    if run.state == "CANCELED" or "CANCELING" in [status.state for status in run.state_history or []]:
        text = f"TERMINATED in the UI or by the API, before the verdict. {url}"
        return End(FAILED, "terminated", text, ends, of_lost)
    where = f"in {', '.join(lost)}" if lost else "outside of its tasks"
    said = f" {run.error.message}" if run.error and run.error.message else ""
    each = [f"{task}: {of_lost.get(task) or (SILENT if found else WITHHELD)}" for task in lost]
    text = "\n".join([*each, f"FAILED {where}.{said} {url}"])
    return End(BAD_INPUT if Kind.BAD_INPUT in kinds else FAILED, "failed", text, ends, of_lost)
