"""Exceptions that carry a failure: their text is for a person, and they need no traceback."""

import dataclasses
import re
import signal
import sys
import traceback
from typing import Any, ClassVar

from trainer.failure import Failure, Kind, leave


class ReportedError(Exception):
    """An error with a `Failure`, whose fields are the arguments.

    If `cause` is an exception, its reason ends the sentence. Otherwise the failure takes it from `raise ... from`.
    """

    kind: ClassVar[Kind] = Kind.INFRASTRUCTURE

    def __init__(
        self,
        sentence: str,
        *,
        value: Any = None,
        valid: str = "",
        remedy: str = "",
        cause: str | Exception = "",
        kind: Kind | None = None,
    ) -> None:
        if isinstance(cause, Exception):
            cause = reason(cause)
            sentence = f"{sentence}: {cause}"
        self._failure = Failure(kind or self.kind, sentence, value, valid, remedy, cause)
        super().__init__(str(self._failure))

    @property
    def failure(self) -> Failure:
        """What went wrong."""
        if self._failure.cause or not isinstance(self.__cause__, Exception):
            return self._failure
        return dataclasses.replace(self._failure, cause=reason(self.__cause__))

    @property
    def exit_code(self) -> int:
        """The exit code for a scheduler."""
        return self.failure.exit_code

    @staticmethod
    def of(failure: Failure) -> "ReportedError":
        """Returns an error that carries the failure of another process."""
        classes: dict[Kind, type[ReportedError]] = {Kind.BAD_INPUT: UserError, Kind.STOPPED: InterruptError}
        cls = classes.get(failure.kind, ReportedError)
        error = cls.__new__(cls)
        Exception.__init__(error, str(failure))
        error._failure = failure
        return error


class UserError(ReportedError):
    """A user's mistake."""

    kind = Kind.BAD_INPUT


class StorageError(ReportedError):
    """A write that failed; a scheduler may try again."""

    def __init__(self, what: str, path: str, error: Exception, remedy: str = "") -> None:
        remedy = remedy or "Free some space or choose another folder, and start again; nothing half-written was left"
        super().__init__(f"{what} cannot be written to {path}", value=path, remedy=remedy, cause=error)


class UnreadableError(ReportedError):
    """A read that failed, though nothing may be damaged; a scheduler may try again."""

    def __init__(self, what: str, path: str, error: Exception) -> None:
        remedy = "Make it readable and start again; nothing was changed"
        super().__init__(f"{what} {path} cannot be read", value=path, remedy=remedy, cause=error)


class InterruptError(ReportedError):
    """A signal that stops the run. It is an Exception, because TFX cleans up after no wider class."""

    kind = Kind.STOPPED

    def __init__(self, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__(f"interrupted by {name}", value=name)


def report(error: Exception, path: str | None) -> int:
    """Prints `error`, or a traceback if it is a bug, writes its failure to `path`, and returns the exit code."""
    if isinstance(error, ReportedError):
        failure = error.failure
        print(f"trainer: {failure}", file=sys.stderr)
    else:
        failure = Failure(Kind.BUG, f"{type(error).__name__}: {reason(error)}")
        traceback.print_exception(error)
    if path:
        leave(failure, path)
    return failure.exit_code


def reason(error: Exception) -> str:
    """Returns the first line of the system's message, without TensorFlow's additions, or the error's class name."""
    text = getattr(error, "strerror", None) or str(error).strip()
    first = (text.splitlines() or [type(error).__name__])[0]
    return re.sub(r"^(\{\{.*?\}\} )?(/\S*; )?|\.?( \[Op:\w+\]( name:)?)?$", "", first)
