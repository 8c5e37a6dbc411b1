"""The console tells the story of a run; everything else that is printed goes to a log file."""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from typing import TextIO

from absl import logging as absl_logging

from trainer.terminal import lossy_text

OWN = ("kubeflow", "pipeline", "components", "trainer")


class Story(logging.Handler):
    """A line for each component with its seconds, and between them what the project's own code logs."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(logging.INFO)
        self._stream = stream
        self._component = ""
        self._start = 0.0
        self._mid_line = False

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a message inside the component's lines."""
        self.say(f"  {record.getMessage()}")

    def starts(self, component: str) -> None:
        """Begins the component's line."""
        self._component, self._start = component, time.monotonic()
        self._write(f"{component:<24}")
        self._mid_line = True

    def ends(self, cached: bool) -> None:
        """Ends the component's line, or gives it another one after what it said."""
        name = "" if self._mid_line else f"{self._component:<24}"
        self._mid_line = False
        took = "cached" if cached else f"{time.monotonic() - self._start:.1f} s"
        self.say(f"{name}{took:>8}")

    def say(self, text: str) -> None:
        """Writes `text` on a line of its own."""
        self._write(("\n" if self._mid_line else "") + text + "\n")
        self._mid_line = False

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the reader has left, or the terminal is closed; the run continues
            self._stream.write(text)
            self._stream.flush()


@contextlib.contextmanager
def console(log_file: str) -> Iterator[Story]:
    """Sends everything that is printed or logged to `log_file`, but the story, which goes to standard output.

    File descriptors 1 and 2 too: TensorFlow's and Beam's native code write to them directly. Either output may be lost,
    the log on a full disk, the story with its terminal: neither is an error of the run.
    """
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(lossy_text(_copy(1), "w"))
        log = stack.enter_context(lossy_text(log_file, "a"))
        for descriptor in (1, 2):
            stack.callback(_restore, descriptor, _copy(descriptor))
            os.dup2(log.fileno(), descriptor)
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        story = Story(stream)
        stack.enter_context(_logging(story, log))
        yield story


def _copy(descriptor: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:  # the process was started without it
        return os.open(os.devnull, os.O_WRONLY)


def _restore(descriptor: int, original: int) -> None:
    os.dup2(original, descriptor)
    os.close(original)


@contextlib.contextmanager
def _logging(story: Story, log: TextIO) -> Iterator[None]:
    """Every logger's records to `log`; those of the project also to the story."""
    to_file = logging.StreamHandler(log)
    to_file.setFormatter(logging.Formatter("%(levelname).1s %(asctime)s %(name)s] %(message)s"))
    logging.root.addHandler(to_file)
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.INFO)  # absl sets its logger back to it now and then
    loggers = [logging.getLogger(name) for name in OWN]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(story)
    try:
        yield
    finally:
        logging.root.removeHandler(to_file)
        absl_logging.set_verbosity(verbosity)
        for logger in loggers:
            logger.removeHandler(story)
