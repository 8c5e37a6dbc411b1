"""One node of a run, in a container: `python -m kubeflow.run_node --node NAME --cluster JSON --executor-input JSON`.

Exit codes: 0 done, or cached, or done by an earlier try; 1 failed, 2 bad input, 3 refused by the gate (only the node
Verdict), 128 + n stopped by a signal.
"""

import argparse
import json
import os
import sys
import traceback

from kubeflow.node.task import Task
from kubeflow.node.tries import fail, refused_before
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.contract import AGAIN, RUN_ID
from kubeflow.spec.parameters import run_config
from kubeflow.spec.revision import revision
from pipeline.console import Story, console
from pipeline.failures import failure_of
from trainer.errors import ReportedError, UserError
from trainer.failure import FILE
from trainer.interrupt import interruptible


def main(arguments: list[str] | None = None) -> int:
    """Runs the node and returns the exit code. The console gets the story, a file on the volume gets everything."""
    try:
        task = read_task(arguments)
        log_file = open_log(task)
        with console(log_file) as story:
            return _run(task, log_file, story)
    except ReportedError as error:
        print(f"vaeiaf: {error}", file=sys.stderr)
        return fail(error.failure)


def read_task(arguments: list[str] | None) -> Task:
    """The task that the command line tells.

    Raises:
      UserError: a parameter or a setting of the cluster that cannot be.
    """
    parser = argparse.ArgumentParser(prog="python -m kubeflow.run_node", allow_abbrev=False)
    parser.add_argument("--node", required=True)
    parser.add_argument("--cluster", required=True, type=json.loads)
    parser.add_argument("--executor-input", required=True, type=json.loads)
    options = parser.parse_args(arguments)
    values = dict(options.executor_input["inputs"]["parameterValues"])
    run_id = values.pop(RUN_ID)
    cluster = Cluster(**options.cluster)
    return Task(options.node, run_id, cluster, run_config(values, cluster), options.executor_input)


def open_log(task: Task) -> str:
    """Path of the node's log file, which is made.

    Raises:
      UserError: the volume is not there, or cannot be written.
    """
    path = os.path.join(task.config.root, "logs", task.run_id, f"{task.node}.log")
    try:
        if not os.path.isdir(task.config.root):
            raise FileNotFoundError(0, "no such folder")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "a").close()
    except OSError as error:
        raise UserError(
            f"expected the volume {task.cluster.volume.claim} at {task.config.root}, for user {os.getuid()} and group "
            f"{os.getgid()} to write: {error.strerror}"
        ) from error
    return path


def _run(task: Task, log_file: str, story: Story) -> int:
    story.say(f"Run {task.run_id}, node {task.node}. Code of revision {revision()}; the whole log is {log_file}")
    error_file = f"{log_file.removesuffix('.log')}.{FILE}"
    if failure := refused_before(error_file):
        story.say(f"\nvaeiaf: not tried again, because the attempt before found bad input: {failure}")
        return fail(failure, error_file)
    try:
        with interruptible():
            from kubeflow.node import work as node

            return node.work(task, story)
    except Exception as error:
        traceback.print_exc()  # to the log file
        failure = failure_of(error, task.config.root, AGAIN)
        story.say(f"\nvaeiaf: {failure}")
        return fail(failure, error_file)


if __name__ == "__main__":
    sys.exit(main())
