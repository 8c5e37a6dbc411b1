"""The log of a pod, passed on line by line while it runs."""

import logging
import re
import threading
import time

from kubeflow.workers.kube_api import Api
from kubeflow.workers.kube_errors import ApiError, TroubleError
from trainer.errors import ReportedError
from trainer.workers.launch import LINE_BYTES

log = logging.getLogger(__name__)

# What native libraries say on standard error: progress and warnings of TensorFlow, for who looks at the pod itself.
NATIVE = re.compile(rb"[IWE]\d{4} [\d:.]+ +\d+ |\d{4}-\d\d-\d\d [\d:.]+: [IWE] |WARNING: All log messages before absl")

PAUSE_SECONDS = 1.0  # between two streams
OVERLAP_SECONDS = 60  # of what a new stream repeats, because clocks differ; each line is passed on once


class PodLog:
    """Passes on the log of `pod`, from its first line on, in a thread, over as many streams as it takes."""

    def __init__(self, api: Api, pod: str) -> None:
        self._api, self._pod = api, pod
        self._newest: tuple[str, str] = ("", "")  # time of the newest line that was passed on
        self._of_newest = 0  # lines with that time that were
        self._heard = time.monotonic()
        self._ended, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="pod log", daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """The pod has ended: waits, up to `seconds`, until its last line is passed on."""
        self._ended.set()
        self._thread.join(seconds)
        self._stopped.set()

    def stop(self) -> None:
        """Passes on no more."""
        self._stopped.set()
        self._ended.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            last = self._ended.is_set()  # a stream that starts after the end, and does not break off, has all
            try:
                self._stream()
                if last:
                    return
            except ReportedError as error:
                if not isinstance(error, ApiError) or error.status not in (400, 404):  # not yet, or no longer, there
                    log.warning("the chief's log cannot be shown: %s", error)
                    return
                if last:
                    return
            except TroubleError:
                pass
            (self._stopped if last else self._ended).wait(PAUSE_SECONDS)

    def _stream(self) -> None:
        since = int(time.monotonic() - self._heard) + OVERLAP_SECONDS if self._of_newest else None
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
            self._newest, self._heard = moment, time.monotonic()
            if not NATIVE.match(text):
                log.info("%s", text[:LINE_BYTES].decode(errors="replace"))


def _moment(stamp: str) -> tuple[str, str]:
    """Makes times comparable, of which some are written with fewer digits."""
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    return seconds.rstrip("Z"), fraction.ljust(9, "0")
