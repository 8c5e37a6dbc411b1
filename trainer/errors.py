"""The error of a user's mistake: its message is for a person, and needs no traceback."""


class UserError(Exception):
    """Says what was expected, what came and what to do."""
