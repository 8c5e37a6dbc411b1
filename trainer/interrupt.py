"""Ctrl-C and SIGTERM: as an error at once, or as a note for one who looks when it suits him."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from trainer.errors import InterruptError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGINT and SIGTERM raise InterruptError, in the main thread."""

    def stop(number: int, _: FrameType | None) -> None:
        raise InterruptError(number)

    with _handled(stop):
        yield


@contextlib.contextmanager
def signals_noted() -> Iterator[list[int]]:
    """Within it SIGINT and SIGTERM do nothing but join the list that it yields."""
    noted: list[int] = []
    with _handled(lambda number, _: noted.append(number)):
        yield noted


@contextlib.contextmanager
def _handled(handler) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, was in previous.items():
            signal.signal(number, was)
