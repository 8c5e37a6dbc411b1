"""Errors that are no bug: their messages are for a person, and need no traceback."""

import re
import signal


class ReportedError(Exception):
    """What a person has to know in a sentence, and the exit code that tells a scheduler."""

    exit_code = 1


class UserError(ReportedError):
    """A user's mistake: says what was expected, what came and what to do."""

    exit_code = 2


class StorageError(ReportedError):
    """Something cannot be written; a scheduler may try again."""

    def __init__(self, what: str, path: str, error: Exception) -> None:
        super().__init__(
            f"{what} cannot be written to {path}: {reason(error)}. Free some space or choose another folder, and start "
            "again; nothing half-written was left"
        )


def reason(error: Exception) -> str:
    """What the system said, in a line, without what TensorFlow puts around it; an error's name if it says nothing."""
    text = getattr(error, "strerror", None) or str(error).strip()
    first = (text.splitlines() or [type(error).__name__])[0]
    return re.sub(r"^(\{\{.*?\}\} )?(/\S*; )?| \[Op:\w+\]$", "", first)


class InterruptError(ReportedError):
    """The run was told to stop. An Exception, because TFX cleans up after nothing wider."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number  # as shells say it
