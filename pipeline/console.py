"""The console tells the story of a run; everything else that is printed goes to a log file."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import TextIO

OWN = ("pipeline", "components", "trainer")


class Story(logging.Handler):
    """A line for each component with its seconds, and between them what the project's own code logs.

    TFX's runner has no hooks; it logs when a component starts, ends or is taken from the cache.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(logging.INFO)
        self._stream = stream
        self._component = ""
        self._start = 0.0
        self._cached = False
        self._mid_line = False

    def emit(self, record: logging.LogRecord) -> None:
        """Writes what `record` adds to the story, if anything."""
        if record.name != "absl":
            self._line(f"  {record.getMessage()}")
        elif record.msg == "Component %s is running.":
            self._component, self._start, self._cached = str(record.args[0]), time.monotonic(), False  # type: ignore[index]
            self._stream.write(f"{self._component:<24}")
            self._stream.flush()
            self._mid_line = True
        elif record.msg == "A cached execution %d is used.":
            self._cached = True
        elif record.msg == "Component %s is finished.":
            name = "" if self._mid_line else f"{self._component:<24}"
            self._mid_line = False
            took = "cached" if self._cached else f"{time.monotonic() - self._start:.1f} s"
            self._line(f"{name}{took:>8}")

    def _line(self, text: str) -> None:
        self._stream.write(("\n" if self._mid_line else "") + text + "\n")
        self._stream.flush()
        self._mid_line = False


@contextlib.contextmanager
def console(log_file: str) -> Iterator[TextIO]:
    """Sends file descriptors 1 and 2 to `log_file`, and yields a stream to where standard output went.

    Descriptors, because TensorFlow's and Beam's native code write to them directly.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    stream = os.fdopen(os.dup(saved[0]), "w")
    story = Story(stream)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        _attach(story)
        yield stream
    finally:
        _detach(story)
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, original in zip((1, 2), saved, strict=True):
            os.dup2(original, descriptor)
            os.close(original)
        os.close(log)
        stream.close()


def _attach(story: Story) -> None:
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.INFO)
    absl_logging.use_absl_handler()
    absl_logging.get_absl_logger().addHandler(story)
    for name in OWN:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(story)


def _detach(story: Story) -> None:
    for name in ("absl", *OWN):
        logging.getLogger(name).removeHandler(story)
