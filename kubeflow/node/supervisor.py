"""Starts the work of a task in a process of its own, and again after a failure that may pass.

Kubeflow does not: as it is delivered, Argo tries a task again whose pod was lost, and none whose process failed, and a
compiled pipeline cannot say otherwise. Where Argo is told to try every failure again, the next pod finds the failure
that ended the last one, and ends with it.
"""

import contextlib
import os
from collections.abc import Callable

from kubeflow.node.attempts import Attempt, is_first_pod, read_attempts, record_failure, record_start
from kubeflow.node.task import Task
from kubeflow.spec.cluster import Retries
from kubeflow.spec.contract import TERMINATION_LOG
from kubeflow.spec.tasks import VERDICT
from kubeflow.workers.clock import Clock
from trainer.failure import Failure, Kind, leave, left

FINAL = (Kind.BAD_INPUT, Kind.REFUSED)  # kinds of failure that another attempt would only repeat


def supervise(task: Task, work: Callable[[], Failure | None], say: Callable[[str], None], clock: Clock) -> int:
    """Runs `work`, which returns its failure, as often as the cluster's retries allow; returns the exit code.

    Retries are counted over all pods of the task. `say` tells a person why there is another attempt.

    Raises:
      OSError: the volume takes no record of the attempt.
      InterruptError: a signal came between two attempts.
    """
    before = _take(task.error_file)
    attempts = [] if is_first_pod() else read_attempts(task.attempts_file)
    if attempts and before and before.kind != Kind.STOPPED:
        say(f"vaeiaf: not tried again, because the pod before gave up: {before}")
        return fail(before, task.error_file)
    while True:
        attempts.append(Attempt(clock.time()))
        record_start(task.attempts_file, attempts[-1].start, first=len(attempts) == 1)
        failure = work()
        if failure is None:
            return 0
        attempts[-1] = attempts[-1]._replace(failure=failure)
        record_failure(task.attempts_file, failure)
        if failure.kind != Kind.REFUSED or VERDICT not in task.nodes:  # the verdict has said so
            say(f"vaeiaf: {failure}")
        pause = pause_before_next(attempts, task.cluster.retries, clock.time())
        if pause is None:
            return fail(failure, task.error_file)
        say(f"Attempt {len(attempts)} failed; the next one starts in {pause:.0f} s")
        _take(task.error_file)  # if the pod is lost from here on, the next one has to work
        clock.sleep(pause)


def _take(error_file: str) -> Failure | None:
    """Removes and returns the failure in the file."""
    failure = left(error_file)
    with contextlib.suppress(OSError):
        os.remove(error_file)
    return failure


def pause_before_next(attempts: list[Attempt], retries: Retries, now: float) -> float | None:
    """Returns the seconds until the next attempt in this pod; None if there is none."""
    failure, failed = attempts[-1].failure, sum(attempt.failed for attempt in attempts)
    pause = float(retries.seconds * retries.factor ** (failed - 1))
    if failure is None or failure.kind in (*FINAL, Kind.STOPPED) or failed > retries.count:
        return None
    return pause if now + pause < attempts[0].start + retries.within_seconds else None


def fail(failure: Failure, error_file: str | None = None) -> int:
    """Leaves the failure beside the log and as the pod's termination message; returns the exit code."""
    if error_file:
        leave(failure, error_file)
    if os.path.exists(TERMINATION_LOG):  # absent outside of a pod
        leave(failure, TERMINATION_LOG)
    return failure.exit_code
