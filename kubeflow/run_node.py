"""One node of a run, in a container: `python -m kubeflow.run_node --node NAME --cluster JSON --executor-input JSON`.

Exit codes: 0 done, or cached, or done by an earlier try; 1 failed, 2 bad input, 3 refused by the gate (only the node
Verdict), 128 + n stopped by a signal.
"""

import argparse
import json
import os
import sys
import traceback

from kubeflow.node.tries import refuse, refused_before, say_last
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.contract import AGAIN, RUN_ID
from kubeflow.spec.parameters import Parameters, Task, pipeline_config
from kubeflow.spec.revision import revision
from pipeline.console import Story, console
from pipeline.words import BAD_INPUT, explain
from trainer.errors import ReportedError, UserError
from trainer.interrupt import interruptible


def main(arguments: list[str] | None = None) -> int:
    """Runs the node and returns the exit code. The console gets the story, a file on the volume gets everything."""
    try:
        task = read_task(arguments)
        log_file = open_log(task)
        with console(log_file) as story:
            return _run(task, log_file, story)
    except ReportedError as error:
        say_last(str(error))
        print(f"vaeiaf: {error}", file=sys.stderr)
        return error.exit_code


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
    cluster = Cluster.from_dict(options.cluster)
    return Task(
        options.node, run_id, cluster, pipeline_config(Parameters.from_dict(values), cluster), options.executor_input
    )


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
    story.say(f"Run {task.run_id}, node {task.node}. Code of revision {revision()}; all that it says is in {log_file}")
    marker = log_file.removesuffix(".log") + ".failed"
    if said := refused_before(marker):
        return _ended(f"not tried again, because the try before ended with bad input: {said}", BAD_INPUT, story)
    try:
        with interruptible():
            from kubeflow.node import work as node

            return node.work(task, story)
    except Exception as error:
        traceback.print_exc()  # to the log file
        message, code = explain(error, task.config.root, AGAIN)
        if code == BAD_INPUT:
            refuse(marker, message)
        return _ended(message, code, story)


def _ended(message: str, code: int, story: Story) -> int:
    say_last(message)
    story.say(f"\nvaeiaf: {message}")
    return code


if __name__ == "__main__":
    sys.exit(main())
