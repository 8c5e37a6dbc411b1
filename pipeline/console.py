"""Shows the story of a run on the console; everything else that is printed goes to a log file."""

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
    """A line for each component with its seconds; between them, what the project's own code logs."""

    def __init__(self, stream: TextIO, stamped: bool = False) -> None:
        super().__init__(logging.INFO)
        self._stream, self._stamped = stream, stamped
        self._component = ""
        self._start = 0.0
        self._mid_line = False

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a log message, indented."""
        self.say(f"  {record.getMessage()}")

    def starts(self, component: str) -> None:
        """Starts the component's line, unless lines get the time, which is that of their end."""
        self._component, self._start = component, time.monotonic()
        if not self._stamped:
            self._write(f"{component:<24}")
            self._mid_line = True

    def ends(self, cached: bool) -> None:
        """Ends the component's line, or writes a new one if messages came in between."""
        name = "" if self._mid_line else f"{self._component:<24}"
        self._mid_line = False
        took = "cached" if cached else f"{time.monotonic() - self._start:.1f} s"
        self.say(f"{name}{took:>8}")

    def say(self, text: str) -> None:
        """Writes `text` on a line of its own."""
        self._write(("\n" if self._mid_line else "") + (stamp(text) if self._stamped else text) + "\n")
        self._mid_line = False

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a closed pipe or terminal does not end the run
            self._stream.write(text)
            self._stream.flush()


def stamp(text: str) -> str:
    """Returns `text` with the time in UTC before each of its lines."""
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    return "\n".join(f"{now}  {line}".rstrip() for line in text.splitlines())


@contextlib.contextmanager
def console(log_file: str, stamped: bool = False, descriptor: int = 1) -> Iterator[Story]:
    """Sends everything that is printed or logged to `log_file`, and only the story to `descriptor`, standard output.

    `stamped`: the story's lines get the time, for a log that nobody watches.

    This includes file descriptors 1 and 2, to which the native code of TensorFlow and Beam writes directly. Losing
    either output, to a full disk or a closed terminal, is not an error of the run.
    """
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(lossy_text(_copy(descriptor), "w"))
        log = stack.enter_context(lossy_text(log_file, "a"))
        for standard in (1, 2):
            stack.enter_context(redirected(standard, log))
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        story = Story(stream, stamped)
        stack.enter_context(_logging(story, log))
        yield story


@contextlib.contextmanager
def redirected(descriptor: int, file: TextIO) -> Iterator[None]:
    """Sends what native code writes to `descriptor` to `file`."""
    original = _copy(descriptor)
    os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        os.dup2(original, descriptor)
        os.close(original)


def _copy(descriptor: int) -> int:
    try:
        return os.dup(descriptor)
    except OSError:  # the process started without this descriptor
        return os.open(os.devnull, os.O_WRONLY)


@contextlib.contextmanager
def _logging(story: Story, log: TextIO) -> Iterator[None]:
    """Sends the records of all loggers to `log`, and those of the project also to the story."""
    to_file = logging.StreamHandler(log)
    to_file.setFormatter(logging.Formatter("%(levelname).1s %(asctime)s %(name)s] %(message)s"))
    logging.root.addHandler(to_file)
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.INFO)  # absl resets its logger to it now and then
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
