"""Ctrl-C and SIGTERM as an error, so that TFX clears away what a component has half written."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from trainer.errors import InterruptError


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGINT and SIGTERM raise InterruptError, in the main thread."""

    def stop(number: int, _: FrameType | None) -> None:
        raise InterruptError(number)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
