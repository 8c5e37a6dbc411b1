"""The lease of a Job: it ends by itself, soon after nobody follows it any more.

A launcher that is killed cannot delete its Job, and the pod that owns the Job may stay for days after it. So a Job is
made with a deadline that is near, and who follows it moves that on. When it comes, Kubernetes tells the workers to stop
by SIGTERM, as whenever it ends a pod, and they save a checkpoint. It takes Kubernetes 1.25: before, a deadline that was
moved on might be missed.
"""

import datetime
import math
import time

from kubeflow.workers.kube_api import Api, Object

LEASE_SECONDS = 900.0  # longer than an API is waited for, a pod takes to start again, or clocks differ
RENEW_SECONDS = 60.0


def first_lease(deadline_seconds: float) -> int:
    """Seconds that a Job has when it is made."""
    return math.ceil(min(LEASE_SECONDS, deadline_seconds))


def made_at(job: Object) -> float:
    """When `job` was made, as `time.time` counts."""
    return datetime.datetime.fromisoformat(job["metadata"]["creationTimestamp"]).timestamp()


class Lease:
    """Lets one Job go on until `end`, as `time.time` counts, as long as it is renewed."""

    def __init__(self, api: Api, end: float) -> None:
        self._api, self._end, self._renewed = api, end, -math.inf

    def is_over(self) -> bool:
        """Whether it cannot be renewed."""
        return time.time() > self._end

    def renew(self, job: Object) -> None:
        """Moves the deadline of `job`, as it was seen last, on; does nothing if that was done a moment ago."""
        if time.monotonic() - self._renewed < RENEW_SECONDS:
            return
        until = min(time.time() + LEASE_SECONDS, self._end)
        seconds = max(1, math.ceil(until - _started_at(job)))
        self._api.patch("Job", job["metadata"]["name"], {"spec": {"activeDeadlineSeconds": seconds}})
        self._renewed = time.monotonic()


def _started_at(job: Object) -> float:
    """From when Kubernetes counts; that is later for a Job that had to queue."""
    start = job["status"].get("startTime")
    return datetime.datetime.fromisoformat(start).timestamp() if start else made_at(job)
