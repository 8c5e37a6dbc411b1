"""What an attempt at a node leaves behind: for the next attempt, and for whoever asks what happened.

Argo retries a node whatever its exit code, because Kubeflow hides it. After bad input, which may show only at the end
of a training, the next attempt would pay for all of it again and fail alike.
"""

import contextlib
import os
import re

from kubeflow.spec.contract import ARGO_NODE
from trainer.failure import Failure, Kind, leave, left

TERMINATION_LOG = "/dev/termination-log"  # Kubernetes makes it, and shows its content with the pod


def refused_before(error_file: str) -> Failure | None:
    """The bad input that the attempt before this one found; None if there was none, or if this is the first.

    A run that somebody resumes with Retry in the UI starts with a first attempt: what was missing may be there by
    then, so the earlier failure is removed.
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
