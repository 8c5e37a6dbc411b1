"""Errors that are no bug: their messages are for a person, and need no traceback."""

import signal


class UserError(Exception):
    """A user's mistake: says what was expected, what came and what to do."""


class InterruptError(Exception):
    """The run was told to stop. An Exception, because TFX cleans up after nothing wider."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number  # as shells say it
