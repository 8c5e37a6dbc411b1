"""Beam's arguments without their secrets, which pages, ML Metadata and errors must not show."""

import re
from collections.abc import Iterator, Sequence

MASK = "***"
# Words in an argument whose value may be a secret. A value that is none is masked too rather than a secret shown.
WORDS = re.compile(r"secret|passw|pwd|token|credential|key|auth|connection_string|signature|sig=", re.IGNORECASE)
LOGIN = re.compile(r"//[^/\s]*@")  # of a URL: user and password


def masked(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with `MASK` in place of values that may be secrets, and of logins in URLs."""
    return list(_masked(arguments))


def _masked(arguments: Sequence[str]) -> Iterator[str]:
    is_secret = False  # whether the argument before is the name of a secret, without its value
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        has_name = name.startswith("--")
        if is_secret and not has_name:
            yield MASK
        elif WORDS.search(argument):
            yield f"{name}{equals}{MASK if equals else ''}" if has_name else MASK
        else:
            yield LOGIN.sub(f"//{MASK}@", argument)
        is_secret = has_name and not equals and bool(WORDS.search(name))
