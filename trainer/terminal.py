"""Standard output and error that may disappear: the reader of a pipe leaves, or a terminal is closed."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO


class Lossy(io.FileIO):
    """A file that drops what cannot be written."""

    def write(self, data) -> int:
        """Claims that everything was written."""
        with contextlib.suppress(OSError):
            if (written := super().write(data)) is not None:  # as of a pipe that does not block
                return written
        return len(data)


def lossy_text(file: int | str, mode: str, encoding: str | None = None) -> TextIO:
    """Opens `file`, a path or a descriptor, for text that may be lost; what `encoding` has not is escaped."""
    buffer = io.BufferedWriter(Lossy(file, mode))
    return io.TextIOWrapper(buffer, encoding, errors="backslashreplace", line_buffering=True)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Lets sys.stdout and sys.stderr drop what cannot be written, so that it is no error of the program.

    Python's own streams keep what failed and fail again at the end of the process, which then exits with 120.
    """
    with contextlib.ExitStack() as stack:
        for stream, redirect in ((sys.stdout, contextlib.redirect_stdout), (sys.stderr, contextlib.redirect_stderr)):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # none, or one without a file
                stream.flush()
                lasting = stack.enter_context(lossy_text(os.dup(stream.fileno()), "w", stream.encoding))
                stack.enter_context(redirect(lasting))
        yield
