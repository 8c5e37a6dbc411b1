"""The failure that an attempt at a node leaves to the next attempt and to `vaeiaf submit --wait`.

Argo may retry a node whatever its exit code, which Kubeflow hides from it. Bad input may show only at the end of a
training, and the next attempt would pay for the training again and fail alike.
"""

import contextlib
import os
import re

from kubeflow.spec.contract import ARGO_NODE, TERMINATION_LOG
from trainer.failure import Failure, Kind, leave, left


def refused_before(error_file: str) -> Failure | None:
    """Returns the bad input that the previous attempt found; None if it found none, or if this is the first attempt.

    Removes the failure: Retry in the UI starts with a first attempt, because the input may be complete by then.
    """
    failure = left(error_file)
    with contextlib.suppress(OSError):
        os.remove(error_file)
    retried = re.search(r"\([1-9]\d*\)$", os.environ.get(ARGO_NODE, ""))
    return failure if retried and failure and failure.kind == Kind.BAD_INPUT else None


def fail(failure: Failure, error_file: str | None = None) -> int:
    """Leaves the failure beside the log and as the pod's termination message; returns the exit code."""
    if error_file:
        leave(failure, error_file)
    if os.path.exists(TERMINATION_LOG):  # absent outside of a pod
        leave(failure, TERMINATION_LOG)
    return failure.exit_code
