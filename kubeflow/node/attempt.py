"""One attempt at a task, in a process of its own: `python -m kubeflow.node.attempt`, with run_node's arguments."""

import sys
import traceback

from kubeflow.node.task import Task, read_task
from kubeflow.spec.contract import AGAIN
from pipeline.console import Story, console
from pipeline.failures import failure_of
from trainer.failure import Failure, leave
from trainer.interrupt import interruptible
from trainer.workers.launch import follow_parent


def main(arguments: list[str] | None = None) -> int:
    """Does the task's work and returns the exit code. A failure is left in the task's error file.

    The console gets the story, the log on the volume gets everything.
    """
    follow_parent()
    task = read_task(arguments)
    with console(task.log_file, stamped=True) as story:
        failure = attempt(task, story)
        if failure is None:
            return 0
        leave(failure, task.error_file)
        return failure.exit_code


def attempt(task: Task, story: Story) -> Failure | None:
    """Does the task's work; returns its failure."""
    try:
        with interruptible():
            from kubeflow.node.work import work  # imports TensorFlow, whose first words belong in the log

            return work(task, story)
    except Exception as error:
        traceback.print_exc()  # to the log file
        return failure_of(error, task.config.root, AGAIN)


if __name__ == "__main__":
    sys.exit(main())
