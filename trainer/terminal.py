"""Standard streams that survive a closed pipe or terminal."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO


class Lossy(io.FileIO):
    """A file that drops data that cannot be written."""

    def write(self, data) -> int:
        """Writes `data` if possible, and returns its length if not."""
        with contextlib.suppress(OSError):
            if (written := super().write(data)) is not None:  # None: a non-blocking pipe is full
                return written
        return len(data)


def lossy_text(file: int | str, mode: str, encoding: str | None = None) -> TextIO:
    """Opens `file`, a path or a descriptor, for text that may be lost; escapes characters outside `encoding`."""
    buffer = io.BufferedWriter(Lossy(file, mode))
    return io.TextIOWrapper(buffer, encoding, errors="backslashreplace", line_buffering=True)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Makes sys.stdout and sys.stderr drop data that cannot be written.

    Python's own streams keep such data and fail again when the process ends, which then exits with 120.
    """
    with contextlib.ExitStack() as stack:
        for stream, redirect in ((sys.stdout, contextlib.redirect_stdout), (sys.stderr, contextlib.redirect_stderr)):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # no stream, or no file behind it
                stream.flush()
                lasting = stack.enter_context(lossy_text(os.dup(stream.fileno()), "w", stream.encoding))
                stack.enter_context(redirect(lasting))
        yield
