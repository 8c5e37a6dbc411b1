"""Follows a run to its end."""

import time
from typing import Any

from kubeflow.client.api import Api, ApiError
from kubeflow.client.failures import failures
from kubeflow.spec import nodes
from pipeline.words import FAILED, PUSHED
from trainer.errors import InterruptError
from trainer.failure import Kind

POLL_SECONDS = 5.0
PATIENCE = 900.0  # seconds that the API may be away
NODES, VERDICT = {nodes.kebab(node) for node in nodes.TITLES}, nodes.kebab(nodes.VERDICT)  # names of tasks
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


def follow(api: Api, run: str) -> int:
    """Prints a line for each change in the state of a node, and the outcome at the end.

    Returns:
      0 pushed or unchanged, 3 refused by the gate, 1 failed or cancelled.

    Raises:
      InterruptError: a signal; the run continues.
      ApiError: Kubeflow was away for PATIENCE seconds, or refuses to answer; the run continues.
    """
    known: dict[str, str] = {}
    try:
        while True:
            state = api.ask("look at the run", api.client.runs.run_service_get_run, run, patience=PATIENCE)
            tasks = _latest((state.run_details and state.run_details.task_details) or [])
            _tell([task for task in tasks if task.display_name in NODES], known)
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
    url = api.url(run.run_id)
    if run.state == "SUCCEEDED":
        print(f"Done: the model was pushed, or is unchanged. {url}")
        return PUSHED
    if run.state == "CANCELED":
        print(f"CANCELLED before the verdict. {url}")
        return FAILED
    failed = [task.display_name for task in tasks if task.state == "FAILED"]
    lost = sorted({name for node in failed if (name := node.removesuffix("-driver")) in NODES})
    left = failures(api, run.run_id)
    if lost == [VERDICT] and VERDICT in left and left[VERDICT].kind == Kind.REFUSED:
        print(f"REFUSED by the gate: {left[VERDICT]}. {url}")
        return left[VERDICT].exit_code
    for node in lost:
        print(f"{node}: {left.get(node) or _silent(node)}")
    said = f" {run.error.message}" if run.error and run.error.message else ""
    print(f"FAILED in {', '.join(lost) or 'no node'}.{said} {url}")
    return FAILED


def _silent(node: str) -> str:
    """Returns the sentence about a pod whose message is unknown."""
    return "it left no message; see its log" + (" for whether the gate refused" if node == VERDICT else "")
