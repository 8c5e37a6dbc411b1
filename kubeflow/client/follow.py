"""Follows a run to its end."""

import time
from typing import Any

from kubeflow.client.api import Api, ApiError
from kubeflow.client.argo import pods
from kubeflow.client.failures import failures, outcome
from kubeflow.spec.tasks import NOTIFY
from trainer.errors import InterruptError
from trainer.exit_codes import BAD_INPUT, DONE, FAILED, REFUSED
from trainer.failure import Kind

POLL_SECONDS = 5.0
PATIENCE = 900.0  # seconds that the API may be away
DRIVER = "-driver"  # behind the name of a task, in the name of its driver
NOT_TASKS = {"root", "exit-handler-1", NOTIFY}  # graphs, and the exit handler, which fails after a failed run
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
UNTOLD = "Done: the model was pushed, or is unchanged. Kubeflow does not hand out the numbers, which are on its page"
SILENT = "it left no message; see its log"
WITHHELD = "Kubeflow does not hand out its message; see its log, which may also say that the gate refused"


def follow(api: Api, run: str) -> int:
    """Prints a line for each change in the state of a task, and the outcome at the end.

    Returns:
      0 pushed or unchanged, 3 refused by the gate, 2 bad input that a task found, 1 failed or terminated.

    Raises:
      InterruptError: a signal; the run continues.
      ApiError: Kubeflow was away for PATIENCE seconds, or refuses to answer; the run continues.
    """
    known: dict[str, str] = {}
    try:
        while True:
            state = api.ask("look at the run", api.client.runs.run_service_get_run, run, patience=PATIENCE)
            tasks = _latest((state.run_details and state.run_details.task_details) or [])
            _tell([task for task in tasks if task.display_name in _names(tasks)], known)
            if state.state in ENDED:
                return _outcome(api, state, tasks)
            time.sleep(POLL_SECONDS)
    except InterruptError:
        print(f"\nNo longer followed; the run continues: {api.url(run)}", flush=True)
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


def _tell(tasks: list[Any], known: dict[str, str]) -> None:
    """Prints a line for each task whose state differs from the `known` one."""
    for task in tasks:
        if task.state and task.state != known.get(task.display_name):
            known[task.display_name] = task.state
            took = f"{_seconds(task):>8.0f} s" if task.state in ENDED else ""
            print(f"{task.display_name:<24}{task.state.lower():<10}{took}".rstrip(), flush=True)


def _seconds(task: Any) -> float:
    if not task.start_time or not task.end_time:
        return 0.0
    return max(0.0, (task.end_time - task.start_time).total_seconds())


def _outcome(api: Api, run: Any, tasks: list[Any]) -> int:
    """Prints the outcome of a run that ended, and returns the exit code."""
    url, found = api.url(run.run_id), pods(api, run.run_id)
    if run.state == "SUCCEEDED":
        print(f"{outcome(api, run.run_id, found) or UNTOLD}\n{url}")
        return DONE
    failed = [task.display_name for task in tasks if task.state == "FAILED"]
    lost = sorted({shown.removesuffix(DRIVER) for shown in failed} & _names(tasks))
    left = {task.removesuffix(DRIVER): failure for task, failure in failures(found).items()}
    kinds = {left[task].kind if task in left else None for task in lost}
    if kinds == {Kind.REFUSED}:
        print(f"REFUSED by the gate: {'; '.join(str(left[task]) for task in lost)}. {url}")
        return REFUSED
    if run.state == "CANCELED" or "CANCELING" in [status.state for status in run.state_history or []]:
        print(f"TERMINATED in the UI or by the API, before the verdict. {url}")
        return FAILED
    for task in lost:
        print(f"{task}: {left.get(task) or (SILENT if found else WITHHELD)}")
    where = f"in {', '.join(lost)}" if lost else "outside of its tasks"
    said = f" {run.error.message}" if run.error and run.error.message else ""
    print(f"FAILED {where}.{said} {url}")
    return BAD_INPUT if Kind.BAD_INPUT in kinds else FAILED
