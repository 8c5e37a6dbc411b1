"""The pace of checkpoints: as often as their cost allows."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator


class Pace:
    """Decides when a checkpoint is due, from what the last ones cost.

    Training pauses while a checkpoint is saved, and the time that follows pays for the pause. The next checkpoint is
    due when all earlier ones are paid:

        due <- max(due, start) + pause / share

    So pauses take at most `share` of the time. A checkpoint that comes before it is due, as at the end of an epoch, is
    paid later, like the others. The first one, whose cost is still unknown, is due at once.

    Args:
      share: the part of the time that pauses may take, 0 to 1; with 0 none is ever due by cost.
      longest: seconds after which a checkpoint is due at any cost.
      clock: returns seconds.
    """

    def __init__(self, share: float, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._longest, self._clock = share, longest, clock
        self._due, self._latest = clock() if share else math.inf, clock() + longest

    def is_due(self) -> bool:
        """Tells whether it is time for a checkpoint."""
        return self._clock() >= min(self._due, self._latest)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Measures the block, which saves a checkpoint."""
        start = self._clock()
        yield
        end = self._clock()
        if self._share:
            self._due = max(self._due, start) + (end - start) / self._share
        self._latest = end + self._longest
