"""Argo's record of a run, and Kubeflow's list of its tasks, as Kubeflow Pipelines 2.17 makes them.

Its stock configuration gives every template a retry strategy. So each task is a node of type Retry with a child for
each attempt, as `trainer` and `trainer(0)`, and so are its driver, its pod (`executor`, `executor(0)`) and the graph.
"""

import zlib
from collections.abc import Iterator

START = "2026-01-01T00:00:00Z"
WORKFLOW = "vaeiaf-abcde"
PHASES = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "CANCELED": "Failed", "PENDING": "Pending", None: "Omitted"}
STATES = {"Succeeded": "SUCCEEDED", "Failed": "FAILED", "Error": "FAILED", "Running": "RUNNING", "Pending": "PENDING"}
OMITTED = "omitted: depends condition not met"
LOST = "pod deleted"


def nodes(state: str, states: dict[str, str | None], messages: dict[str, list[str]]) -> list[dict]:
    """The nodes of a run.

    Arguments:
      state: of the run.
      states: of its tasks, in the order of their starts; None: omitted, because a task before it failed. `NAME-driver`
        in place of NAME: the state of its driver, without which it does not start.
      messages: by task, what Argo says of each failed pod.
    """
    phase = PHASES.get(state, "Running")
    top, root = f"{WORKFLOW}(0)", f"{WORKFLOW}(0).root(0)"
    found = [*_retried("", WORKFLOW, "entrypoint", phase, START, [("DAG", phase, "")])]
    found += _retried(top, "root-driver", "system-dag-driver", "Succeeded", START, [("Pod", "Succeeded", "")])
    found += _retried(top, "root", "root", phase, START, [("DAG", phase, "")])
    for number, (name, of_task) in enumerate(states.items()):
        task, minute = name.removesuffix("-driver"), f"2026-01-01T00:{number:02}"
        found += _task(root, task, PHASES.get(of_task, "Running"), minute, messages.get(name, []), name != task)
    return found


def _task(root: str, task: str, phase: str, minute: str, messages: list[str], at_driver: bool) -> Iterator[dict]:
    driver, executor = "system-container-driver", "metadata-1-0-retry-system-container-executor"
    if phase == "Omitted":
        yield _node(root, f"{task}-driver", driver, "Skipped", phase, f"{minute}:00Z", OMITTED)
        yield _node(root, task, executor, "Skipped", phase, f"{minute}:00Z", OMITTED)
        return
    if at_driver:
        yield from _retried(root, f"{task}-driver", driver, phase, f"{minute}:00Z", _attempts(phase, messages))
        yield _node(root, task, executor, "Skipped", "Omitted", f"{minute}:00Z", OMITTED)
        return
    yield from _retried(root, f"{task}-driver", driver, "Succeeded", f"{minute}:00Z", [("Pod", "Succeeded", "")])
    yield from _retried(root, task, executor, phase, f"{minute}:00Z", [("DAG", phase, "")])
    implementation = executor.removesuffix("executor") + "impl"
    boundary = f"{root}.{task}(0)"
    yield from _retried(boundary, "executor", implementation, phase, f"{minute}:00Z", _attempts(phase, messages))


def _attempts(phase: str, messages: list[str]) -> list[tuple[str, str, str]]:
    """The pods of a task: the failed ones with their messages, and one that has none."""
    failed = [("Pod", "Error" if message == LOST else "Failed", message) for message in messages]
    return failed if phase == "Failed" and failed else [*failed, ("Pod", phase, "")]


def _retried(
    boundary: str, name: str, template: str, phase: str, start: str, attempts: list[tuple[str, str, str]]
) -> Iterator[dict]:
    """A node of type Retry and its children, the newest first. A failed one has the message of its last pod."""
    kind, _, last = attempts[-1]
    message = last if phase == "Failed" and kind == "Pod" else ""
    yield _node(boundary, name, template, "Retry", phase, start, message)
    for number, (kind, of_attempt, said) in reversed(list(enumerate(attempts))):
        began = f"{start[:-3]}{number:02}Z"
        yield _node(boundary, f"{name}({number})", template, kind, of_attempt, began, said)


def _node(boundary: str, name: str, template: str, kind: str, phase: str, start: str, message: str) -> dict:
    ended = {"Omitted": start, "Running": None, "Pending": None}.get(
        phase, f"{start[:14]}{int(start[14:16]) + 1:02}:05Z"
    )
    return {
        "id": _id(f"{boundary}.{name}" if boundary else name),
        "displayName": name,
        "type": kind,
        "templateName": template,
        "phase": phase,
        "startedAt": start,
        "finishedAt": ended,
        **({"boundaryID": _id(boundary)} if boundary else {}),
        **({"message": message} if message else {}),
    }


def _id(path: str) -> str:
    """The id of the node with this path: Argo takes its hash. The workflow's is its name."""
    return path if path == WORKFLOW else f"{WORKFLOW}-{zlib.crc32(path.encode())}"


def pod_name(node: dict) -> str:
    """The name of a node's pod, since Argo 3.4."""
    workflow, _, digits = node["id"].rpartition("-")
    return f"{workflow}-{node['templateName']}-{digits}"


def tasks(found: list[dict]) -> list[dict]:
    """Kubeflow's list: one for each node of Argo. An omitted one has no state; a running one an end in the year 1."""
    return [
        {
            "display_name": node["displayName"],
            "start_time": node["startedAt"],
            "end_time": node["finishedAt"] or "0001-01-01T00:00:00Z",
            **({"state": STATES[node["phase"]]} if node["phase"] in STATES else {}),
        }
        for node in found
    ]
