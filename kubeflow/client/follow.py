"""A run, followed to its end."""

import time
from collections.abc import Collection
from typing import Any

from kubeflow.client.api import Api, ApiError
from kubeflow.client.failures import failures
from trainer.errors import InterruptError
from trainer.failure import Kind

POLL_SECONDS = 5.0
PATIENCE = 900.0  # seconds that the API may be away meanwhile
VERDICT = "verdict"  # the last task: it fails when the gate refuses
DONE, FAILED = 0, 1
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


def follow(api: Api, run: str, nodes: Collection[str]) -> int:
    """Prints a line whenever one of `nodes`, the tasks' names, changes its state, and the outcome at the end.

    Returns:
      0 pushed or unchanged, 3 refused by the gate, 1 failed or cancelled.

    Raises:
      InterruptError: a signal; the run goes on.
      ApiError: Kubeflow could not be asked for PATIENCE seconds, or refuses to answer; the run goes on.
    """
    known: dict[str, str] = {}
    try:
        while True:
            state = api.ask("look at the run", api.client.runs.run_service_get_run, run, patience=PATIENCE)
            tasks = (state.run_details and state.run_details.task_details) or []
            _tell(tasks, nodes, known)
            if state.state in ENDED:
                return _outcome(api, state, tasks, nodes)
            time.sleep(POLL_SECONDS)
    except InterruptError as error:
        print(f"\nNo longer followed; the run goes on: {api.url(run)}", flush=True)
        raise error
    except ApiError as error:
        raise ApiError(f"{error}. The run itself goes on: {api.url(run)}", error.status) from None


def _tell(tasks: list[Any], nodes: Collection[str], known: dict[str, str]) -> None:
    """A line for each of `nodes` whose state is not the `known` one, in the order in which they began."""
    for task in sorted((task for task in tasks if task.display_name in nodes), key=_began):
        if task.state and task.state != known.get(task.display_name):
            known[task.display_name] = task.state
            took = f"{_seconds(task):>8.0f} s" if task.state in ENDED else ""
            print(f"{task.display_name:<24}{task.state.lower():<10}{took}".rstrip(), flush=True)


def _began(task: Any) -> tuple[float, str]:
    return (task.start_time.timestamp() if task.start_time else 0.0, task.display_name)


def _seconds(task: Any) -> float:
    if not task.start_time or not task.end_time:
        return 0.0
    return max(0.0, (task.end_time - task.start_time).total_seconds())


def _outcome(api: Api, run: Any, tasks: list[Any], nodes: Collection[str]) -> int:
    url = api.url(run.run_id)
    if run.state == "SUCCEEDED":
        print(f"Done: the model was pushed, or is unchanged. {url}")
        return DONE
    if run.state == "CANCELED":
        print(f"CANCELLED, before it came to a verdict. {url}")
        return FAILED
    failed = [task.display_name for task in tasks if task.state == "FAILED"]
    lost = sorted({name for node in failed if (name := node.removesuffix("-driver")) in nodes})
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
    """Of a pod that was lost, or whose words cannot be had."""
    return "it left no words, its log may say why" + (", perhaps that the gate refused" if node == VERDICT else "")
