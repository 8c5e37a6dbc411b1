"""Runs one node in a container: `python -m kubeflow.run_node --node NAME --cluster JSON --executor-input JSON`.

Exit codes: 0 done, cached or done by an earlier attempt; 1 failed; 2 bad input; 3 refused by the gate, of the node
Verdict only; 128 + n stopped by a signal.
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
from trainer.interrupt import interruptible


def main(arguments: list[str] | None = None) -> int:
    """Runs the node and returns the exit code. The console gets the story, a log on the volume gets everything."""
    try:
        task = read_task(arguments)
        open_log(task)
        with console(task.log_file) as story:
            return _run(task, story)
    except ReportedError as error:
        print(f"vaeiaf: {error}", file=sys.stderr)
        return fail(error.failure)


def read_task(arguments: list[str] | None) -> Task:
    """Reads the task from the command line.

    Raises:
      SettingError: a parameter or a setting of the cluster is invalid.
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


def open_log(task: Task) -> None:
    """Creates the node's log, if this is the first attempt.

    Raises:
      UserError: the volume is not mounted, or not writable.
    """
    root = task.config.root
    try:
        if not os.path.isdir(root):
            raise FileNotFoundError(0, "no such folder")
        os.makedirs(os.path.dirname(task.log_file), exist_ok=True)
        open(task.log_file, "a").close()
    except OSError as error:
        sentence = f"{root} is not a volume that user {os.getuid()} in group {os.getgid()} can write"
        remedy = f"Check volume in cluster.yaml, and the owner of the claim {task.cluster.volume.claim}"
        raise UserError(sentence, value=root, remedy=remedy, cause=error) from error


def _run(task: Task, story: Story) -> int:
    story.say(f"Run {task.run_id}, node {task.node}, code of revision {revision()}. Log: {task.log_file}")
    if failure := refused_before(task.error_file):
        story.say(f"\nvaeiaf: not tried again, because the previous attempt found bad input: {failure}")
        return fail(failure, task.error_file)
    try:
        with interruptible():
            from kubeflow.node import work as node

            return node.work(task, story)
    except Exception as error:
        traceback.print_exc()  # to the log file
        failure = failure_of(error, task.config.root, AGAIN)
        story.say(f"\nvaeiaf: {failure}")
        return fail(failure, task.error_file)


if __name__ == "__main__":
    sys.exit(main())
