"""A clock that stands still until a test moves it."""

import threading
import time

LIMIT = 30  # real seconds; never reached unless something is broken


class StillClock:
    """A replacement for `kubeflow.workers.clock.Clock`, and the clock of the emulated cluster.

    `advance` moves it. After `run`, sleeps and waits move it too: for tests in which nothing happens but time.
    """

    def __init__(self):
        self.polls = 0  # waits that the main thread, the launcher, has begun
        self.slept = 0.0  # seconds of all sleeps
        self._now = float(int(time.time()))
        self._end = time.monotonic() + LIMIT
        self._alarms = []  # (time, function)
        self._lock = threading.Lock()
        self._runs = False

    def time(self):
        return self._now

    monotonic = time

    def advance(self, seconds):
        """Moves time, and calls the functions that are due."""
        with self._lock:
            self._now += seconds
            due = [alarm for alarm in self._alarms if alarm[0] <= self._now]
            self._alarms = [alarm for alarm in self._alarms if alarm[0] > self._now]
        for _, function in due:
            function()

    def run(self):
        """Lets sleeps and waits move time from now on."""
        self._runs = True

    def alarm(self, when, function):
        """Schedules a call of `function` for the time `when`."""
        with self._lock:
            self._alarms.append((when, function))

    def sleep(self, seconds):
        self.slept += seconds
        self._pass(seconds)
        time.sleep(0 if self._runs else 0.001)

    def wait(self, event, seconds):
        self.polls += threading.current_thread() is threading.main_thread()
        if not event.is_set():
            self._pass(seconds)
        event.wait(0.001 if self._runs else 0.02)

    def _pass(self, seconds):
        assert time.monotonic() < self._end, "time stands still, and nothing happens"
        if self._runs:
            self.advance(seconds)
