"""The process that does a task's work, as its supervisor sees it."""

import os
import signal
import subprocess
import sys
import time

from kubeflow.node.memory import Memory
from kubeflow.node.task import Task
from kubeflow.spec.contract import AGAIN
from trainer.failure import Failure, Kind, left
from trainer.interrupt import signals_noted
from trainer.workers.launch import LAUNCHER, ending

ATTEMPT = ("-P", "-m", "kubeflow.node.attempt")  # what Python runs
POLL_SECONDS = 0.05


def run_process(task: Task, arguments: list[str]) -> Failure | None:
    """Does the work of `task` in a process with these arguments of the command line; returns its failure.

    Forwards SIGINT, SIGTERM and SIGHUP as one SIGTERM, and waits for the end.
    """
    memory = Memory()
    with signals_noted() as signals:
        process = subprocess.Popen(
            [sys.executable, *ATTEMPT, *arguments],
            env=os.environ | {LAUNCHER: str(os.getpid())},
            start_new_session=True,  # a signal to the group reaches this process only
        )
        told = False
        while process.poll() is None:
            if signals and not told:
                process.send_signal(signal.SIGTERM)
                told = True
            if memory.is_short():  # or the kernel kills this process too
                process.kill()
            time.sleep(POLL_SECONDS)
    if process.returncode == 0:
        return None
    failure = left(task.error_file)
    if failure is None and signals:
        name = signal.Signals(signals[0]).name
        return Failure(Kind.STOPPED, f"interrupted by {name}", value=name)
    return failure or _death(task, process.returncode, memory.was_short())


def _death(task: Task, code: int, memory: bool) -> Failure:
    """Describes the end of a process that left no words."""
    if memory:
        sentence = "the task's process used more memory than its pod may"
        remedy = f"Raise memory_limit of tasks.{task.name} in cluster.yaml"
        return Failure(Kind.INFRASTRUCTURE, sentence, value=code, remedy=remedy)
    remedy = f"Its log {task.log_file} may say why. {AGAIN[0].upper()}{AGAIN[1:]} resumes after the last checkpoint"
    return Failure(Kind.INFRASTRUCTURE, f"the task's process {ending(code)}", value=code, remedy=remedy)
