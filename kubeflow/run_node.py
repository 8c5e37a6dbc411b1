"""Runs a task in its pod: `python -m kubeflow.run_node --node TASK --cluster JSON --executor-input JSON`.

Exit codes: 0 done, cached or done by an earlier attempt; 1 failed; 2 bad input; 3 refused by the gate; 128 + n stopped
by a signal.
"""

import contextlib
import functools
import os
import sys

from kubeflow.node.process import run_process
from kubeflow.node.supervisor import fail, supervise
from kubeflow.node.task import Task, read_task
from kubeflow.spec.contract import AGAIN
from kubeflow.workers.clock import Clock
from pipeline.console import stamp
from pipeline.failures import failure_of
from pipeline.revision import revision
from trainer.errors import ReportedError, UserError
from trainer.interrupt import interruptible


def main(arguments: list[str] | None = None) -> int:
    """Runs the task and returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        task = read_task(arguments)
        _open_log(task)
        say = functools.partial(_say, task.log_file)
        say(f"Run {task.run_id}, task {task.name}: {', '.join(task.nodes)}")
        say(f"Code of revision {revision()}. Log: {task.log_file}")
        with interruptible():
            code = supervise(task, functools.partial(run_process, task, arguments), say, Clock())
    except (ReportedError, OSError) as error:
        failure = failure_of(error, "the volume", AGAIN)
        print(stamp(f"vaeiaf: {failure}"), file=sys.stderr)
        return fail(failure)
    return code


def _say(log_file: str, text: str) -> None:
    """Prints `text`, each line with the time, and appends it to the log."""
    text = stamp(text)
    print(text, flush=True)
    with contextlib.suppress(OSError), open(log_file, "a") as file:
        print(text, file=file)


def _open_log(task: Task) -> None:
    """Creates the task's log, if this is the first attempt.

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


if __name__ == "__main__":
    sys.exit(main())
