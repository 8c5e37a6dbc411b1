"""The lease of a Job: the Job ends by itself soon after its last launcher.

It is the fallback. A launcher that is told to stop deletes its Job, and a launcher's pod that is removed takes the Job
along, as its owner. But a launcher can be killed without a word and leave its pod behind for days, and a launcher
outside of the namespace has no pod. So a Job starts with a near deadline, which its launcher extends. At the deadline
Kubernetes sends SIGTERM to the workers, which save a checkpoint. Kubernetes before 1.25 may miss an extended deadline.
"""

import math

from kubeflow.workers.job import Job
from kubeflow.workers.kube_api import Api

LEASE_SECONDS = 900.0  # longer than the patience with the API, a pod's restart, and the difference of two clocks
RENEW_SECONDS = 60.0


def first_lease(deadline_seconds: float) -> int:
    """Returns the seconds that a new Job may run."""
    return math.ceil(min(LEASE_SECONDS, deadline_seconds))


class Lease:
    """Extends the deadline of one Job, up to `end`, in seconds since the epoch."""

    def __init__(self, api: Api, end: float) -> None:
        self._api, self._end, self._renewed = api, end, -math.inf

    def is_over(self) -> bool:
        """Whether `end` has come."""
        return self._api.clock.time() > self._end

    def renew(self, job: Job) -> None:
        """Extends the deadline, unless that was done within RENEW_SECONDS."""
        clock = self._api.clock
        now = clock.monotonic()
        if now - self._renewed < RENEW_SECONDS:
            return
        until = min(clock.time() + LEASE_SECONDS, self._end)
        self._api.set_deadline(job.name, max(1, math.ceil(until - job.started)))
        self._renewed = now  # before the request, which may take minutes
