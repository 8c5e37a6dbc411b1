"""How long something has been so, for one who looks now and then."""

import time


class Durations:
    """Remembers, by name, when what is so was first seen."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def __contains__(self, what: str) -> bool:
        return what in self._since

    def lasts(self, what: str, now: bool = True) -> float:
        """Seconds that `what` has been so at every look; 0 at the first, and if it is not so `now`."""
        if not now:
            self._since.pop(what, None)
            return 0.0
        seen = time.monotonic()
        return seen - self._since.setdefault(what, seen)
