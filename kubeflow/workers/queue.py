"""The wait of a suspended Job: a queue such as Kueue's holds it back until there are machines for all its pods."""

import logging

from kubeflow.workers.job import Job
from kubeflow.workers.kube_api import Api
from trainer.workers.launch import WorkerError

log = logging.getLogger(__name__)


class QueueWait:
    """The wait of `job`, which may take `seconds` from the first check on."""

    def __init__(self, api: Api, job: Job, seconds: int) -> None:
        self._api, self._job, self._seconds = api, job, seconds
        self._began: float | None = None

    def check(self) -> None:
        """Checks the time; logs the first time.

        Raises:
          WorkerError: the wait is over.
        """
        now, name = self._api.clock.monotonic(), self._job.name
        if self._began is None:
            self._began = now
            log.info("the Job %s waits in its queue, for %d s at most", name, self._seconds)
        if now - self._began >= self._seconds:
            sentence = f"the queue has not started the Job {name} within {self._seconds} s"
            ask = f"`kubectl describe workloads -n {self._api.namespace}` says what it waits for"
            remedy = f"Raise workers.queue_seconds in cluster.yaml, or make room in the queue; {ask}"
            raise WorkerError(sentence, value=self._seconds, remedy=remedy)
