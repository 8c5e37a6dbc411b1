"""Data as text: compressed, and in pieces for the arguments and the log of a pod.

The log needs no right beyond those of a run. It may lose lines, because a node rotates a log of 10 MB by default, and a
request for it may break off. So each line has a number, and the first one the digest of the whole.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator
from typing import Any

from trainer.errors import ReportedError

MARK = "vaeiaf-parcel "  # starts each line of the log that belongs to the parcel
LINE = 12_000  # characters of a piece; container runtimes split lines of 16 KiB
ARGUMENT = 96_000  # characters of a piece; Linux refuses an argument of 128 KiB
REMEDY = "The command has run. Its node rotates logs early (containerLogMaxSize); ask for fewer or smaller files"


def pack(facts: Any) -> str:
    """Returns `facts`, of JSON's types, as base64."""
    return base64.b64encode(zlib.compress(json.dumps(facts).encode())).decode()


def unpack(text: str) -> Any:
    """Undoes `pack`."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def pieces(text: str, size: int) -> list[str]:
    """Cuts a text into pieces of `size` characters."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def lines(text: str) -> Iterator[str]:
    """Yields the lines of the log that carry a text, without their ends."""
    cut = pieces(text, LINE)
    yield MARK + json.dumps({"pieces": len(cut), "size": len(text), "digest": _digest(text)})
    for number, piece in enumerate(cut):
        yield f"{MARK}{number} {piece}"


class Arrival:
    """A text that arrives in lines of a log, in any order and more than once."""

    def __init__(self) -> None:
        self._head: dict[str, Any] | None = None
        self._pieces: dict[int, str] = {}

    def add(self, line: str) -> None:
        """Takes the line if it belongs to the text."""
        if not line.startswith(MARK):
            return
        rest = line.removeprefix(MARK)
        if rest.startswith("{"):
            self._head = json.loads(rest)
        else:
            number, _, piece = rest.partition(" ")
            self._pieces[int(number)] = piece

    @property
    def is_empty(self) -> bool:
        """Whether no line has come."""
        return self._head is None and not self._pieces

    @property
    def size(self) -> int:
        """Characters of the whole text; 0 if the first line has not come."""
        return self._head["size"] if self._head else 0

    @property
    def received(self) -> int:
        """Characters that have come."""
        return sum(map(len, self._pieces.values()))

    def text(self) -> str:
        """Returns the whole text.

        Raises:
          ReportedError: lines are lost, or their content is not what was sent.
        """
        if self._head is None:
            raise ReportedError("the start of the pod's log is lost", remedy=REMEDY)
        if lost := self._head["pieces"] - len(self._pieces):
            what = f"{lost} of {self._head['pieces']} lines of what the pod sent are lost"
            raise ReportedError(what, value=lost, remedy=REMEDY)
        text = "".join(self._pieces[number] for number in range(self._head["pieces"]))
        if _digest(text) != self._head["digest"]:
            raise ReportedError("what the pod sent arrived damaged", remedy="Start again; nothing was written here")
        return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
