"""The launcher's clock, and how long something has held by it."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """How the launcher reads and passes time. The default is this machine's clock."""

    monotonic: Callable[[], float] = time.monotonic  # seconds since an unknown moment
    sleep: Callable[[float], None] = time.sleep  # seconds
    wait: Callable[[threading.Event, float], object] = threading.Event.wait  # until the event, for at most the seconds
    time: Callable[[], float] = time.time  # seconds since the epoch


class Durations:
    """Tracks how long polled conditions have held, by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._since

    def held(self, name: str, holds: bool = True) -> float:
        """Records one poll; returns the seconds since the first of the polls in a row at which `name` held."""
        if not holds:
            self._since.pop(name, None)
            return 0.0
        now = self._clock.monotonic()
        return now - self._since.setdefault(name, now)
