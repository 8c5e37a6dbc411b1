"""The state of some pods, kept up to date by a thread that watches them."""

import dataclasses
import threading

from kubeflow.workers.kube_api import Api
from kubeflow.workers.kube_errors import ApiError
from kubeflow.workers.pod import Pod

PAUSE_SECONDS = 1.0  # between two streams


class PodWatch:
    """Watches the pods with the labels `selector`.

    A list of all pods follows each stream, however it ended: it has what the stream missed. A pod that is missing from
    the list is gone, and is kept in its last state.
    """

    def __init__(self, api: Api, selector: str) -> None:
        self._api, self._selector = api, selector
        self._pods: dict[str, Pod] = {}  # by uid
        self._lock, self._changed, self._stopped = threading.Lock(), threading.Event(), threading.Event()
        self._error: Exception | None = None
        threading.Thread(target=self._run, name="pod watch", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread at its next event, without waiting for it."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Blocks until a pod changes, for at most `seconds`.

        Raises:
          ReportedError: the watch has failed.
        """
        self._api.clock.wait(self._changed, seconds)
        self._changed.clear()
        if self._error:
            raise self._error

    def owned_by(self, uid: str) -> list[Pod]:
        """Returns the pods, there or gone, of the Job with this uid."""
        with self._lock:
            return [pod for pod in self._pods.values() if pod.job == uid]

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._follow()
                self._api.clock.wait(self._stopped, PAUSE_SECONDS)
        except Exception as error:  # for the thread that waits
            self._error = error
            self._changed.set()

    def _follow(self) -> None:
        pods, version = self._api.list_pods(self._selector)
        with self._lock:
            gone = {uid: dataclasses.replace(pod, gone=True) for uid, pod in self._pods.items()}
            self._pods = gone | {pod.uid: pod for pod in pods}
        self._changed.set()
        try:
            for pod in self._api.watch_pods(self._selector, version):
                if self._stopped.is_set():
                    return
                with self._lock:
                    self._pods[pod.uid] = pod
                self._changed.set()
        except ApiError as error:
            if not error.transient:
                raise
