"""SIGINT, SIGTERM and SIGHUP (a closed terminal): raised as an error, or recorded for polling.

Python runs signal handlers in the main thread only, so these functions change nothing in other threads.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from trainer.errors import InterruptError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_came: list[int] | None = None  # signals within the current interruptible(); None outside of it


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raises InterruptError in the main thread when a signal arrives within the block."""
    global _came

    def stop(number: int) -> None:
        if number == signal.SIGHUP and _came and _came.count(number) > 1:
            return  # a closing terminal sends several; the later ones would interrupt the cleanup
        raise InterruptError(number)

    if not _in_main_thread():
        yield
        return
    outer, _came = _came, []
    try:
        with _handled(stop):
            yield
    finally:
        _came = None if outer is None else outer + _came


@contextlib.contextmanager
def signals_noted() -> Iterator[list[int]]:
    """Yields a list that records the signals within the block, which have no other effect."""
    noted: list[int] = []
    with _handled(noted.append):
        yield noted


def interrupted() -> bool:
    """Tells whether a signal, raised or recorded, arrived within the current `interruptible` block."""
    return bool(_came)


@contextlib.contextmanager
def _handled(react: Callable[[int], None]) -> Iterator[None]:
    def handler(number: int, _: FrameType | None) -> None:
        if _came is not None:
            _came.append(number)
        react(number)

    previous = {number: signal.signal(number, handler) for number in SIGNALS if _is_ours(number)}
    try:
        yield
    finally:
        for number, was in previous.items():
            signal.signal(number, was)


def _is_ours(number: int) -> bool:
    """Tells whether to handle the signal: SIGHUP stays ignored in a process that `nohup` started."""
    return _in_main_thread() and not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
