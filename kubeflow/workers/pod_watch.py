"""What is known of some pods, kept up to date by a thread that watches them."""

import threading
from typing import NamedTuple

from kubeflow.workers.kube_api import Api
from kubeflow.workers.kube_errors import TroubleError
from kubeflow.workers.pod_status import Pod

PAUSE_SECONDS = 1.0  # between two streams


class Seen(NamedTuple):
    """A pod as it was last seen."""

    pod: Pod
    gone: bool  # it was deleted since


class PodWatch:
    """Watches the pods with the labels `selector`.

    After each stream, however it ended, comes a new list of all pods: what happened in between, or was dropped, is in
    it. A pod that is not is gone, and stays known as it was.
    """

    def __init__(self, api: Api, selector: str) -> None:
        self._api, self._selector = api, selector
        self._seen: dict[str, Seen] = {}  # by uid
        self._lock, self._changed, self._stopped = threading.Lock(), threading.Event(), threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pod watch", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends with the next thing that happens; nobody waits for that."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Until something changes, but no longer than `seconds`.

        Raises:
          ReportedError: the watch cannot go on.
        """
        self._changed.wait(seconds)
        self._changed.clear()
        if self._error:
            raise self._error

    def owned_by(self, uid: str) -> list[Seen]:
        """The pods, there or gone, of the Job with this uid."""
        with self._lock:
            found = list(self._seen.values())
        return [seen for seen in found if uid in _owners(seen.pod)]

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._follow()
                self._stopped.wait(PAUSE_SECONDS)
        except Exception as error:  # for the thread that waits
            self._error = error
            self._changed.set()

    def _follow(self) -> None:
        pods, version = self._api.list_pods(self._selector)
        there = {pod["metadata"]["uid"] for pod in pods}
        with self._lock:
            for uid, seen in self._seen.items():
                if uid not in there:
                    self._seen[uid] = seen._replace(gone=True)
        for pod in pods:
            self._put(pod)
        self._changed.set()
        try:
            for event in self._api.watch_pods(self._selector, version):
                if self._stopped.is_set():
                    return
                self._put(event["object"], gone=event["type"] == "DELETED")
        except TroubleError:
            pass  # the next list tells

    def _put(self, pod: Pod, gone: bool = False) -> None:
        with self._lock:
            self._seen[pod["metadata"]["uid"]] = Seen(pod, gone)
        self._changed.set()


def _owners(pod: Pod) -> list[str]:
    return [owner["uid"] for owner in pod["metadata"].get("ownerReferences", ())]
