"""What a check found."""

import enum
from typing import NamedTuple


class State(enum.StrEnum):
    """The result of a check."""

    OK = "ok"
    WRONG = "WRONG"
    UNKNOWN = "unknown"  # the check could not be made


class Finding(NamedTuple):
    """The result of one check, as one line: `WRONG    claim: what is wrong. What to do`."""

    check: str  # what was checked, a word or two
    state: State
    sentence: str
    remedy: str = ""  # empty if all is well

    def __str__(self) -> str:
        text = ". ".join(filter(None, (self.sentence, self.remedy)))
        return f"{self.state:<8} {self.check}: {' '.join(text.split())}"
