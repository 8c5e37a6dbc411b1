"""The log of a pod, logged here line by line while the pod runs."""

import logging
import re
import threading

from kubeflow.workers.kube_api import Api
from kubeflow.workers.kube_errors import ApiError
from trainer.workers.launch import LINE_BYTES

log = logging.getLogger(__name__)

# Progress and warnings that TensorFlow's native libraries write to standard error; they stay in the pod's own log.
NATIVE = re.compile(rb"[IWE]\d{4} [\d:.]+ +\d+ |\d{4}-\d\d-\d\d [\d:.]+: [IWE] |WARNING: All log messages before absl")

PAUSE_SECONDS = 1.0  # between two streams
OVERLAP_SECONDS = 60  # that a new stream repeats, because clocks differ; repeated lines are dropped


class PodLog:
    """Logs the lines of `pod`, each once, in a thread, over as many streams as it takes."""

    def __init__(self, api: Api, pod: str) -> None:
        self._api, self._pod = api, pod
        self._newest: tuple[str, str] = ("", "")  # time of the newest line that was logged
        self._of_newest = 0  # lines with that time that were logged
        self._heard = api.clock.monotonic()
        self._ended, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="pod log", daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Waits until the last line of a pod that has ended is logged, for at most `seconds`."""
        self._ended.set()
        self._thread.join(seconds)
        self._stopped.set()

    def stop(self) -> None:
        """Ends the thread at its next line, without waiting for it."""
        self._stopped.set()
        self._ended.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            last = self._ended.is_set()  # a stream that starts after the pod's end and does not break off is complete
            try:
                self._stream()
                if last:
                    return
            except ApiError as error:
                absent = error.status in (400, 404)  # the log does not exist yet, or no longer
                if not error.transient and not absent:
                    log.warning("cannot show the chief's log: %s", error)
                    return
                if last and absent:
                    return
            self._api.clock.wait(self._stopped if last else self._ended, PAUSE_SECONDS)

    def _stream(self) -> None:
        clock = self._api.clock
        since = int(clock.monotonic() - self._heard) + OVERLAP_SECONDS if self._of_newest else None
        of_newest = 0
        for line in self._api.log_lines(self._pod, since):
            if self._stopped.is_set():
                return
            stamp, _, text = line.partition(b" ")
            moment = _moment(stamp.decode(errors="replace"))
            of_newest += moment == self._newest
            if moment < self._newest or (moment == self._newest and of_newest <= self._of_newest):
                continue
            self._of_newest = self._of_newest + 1 if moment == self._newest else 1
            of_newest = self._of_newest
            self._newest, self._heard = moment, clock.monotonic()
            if not NATIVE.match(text):
                log.info("%s", text[:LINE_BYTES].decode(errors="replace"))


def _moment(stamp: str) -> tuple[str, str]:
    """Makes times comparable: Kubernetes drops trailing zeros of the fraction."""
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    return seconds, fraction.ljust(9, "0")
