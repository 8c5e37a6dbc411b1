"""Facts as tables for people or, with --json, as one JSON document for programs.

Tables have colour on a terminal, unless NO_COLOR is set, and the full width of their content elsewhere.
"""

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pipeline.plain import plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

WIDE = 10_000  # columns of an output that is no terminal, where nothing may be cut


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds the option --json."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def print_json(facts: Any) -> None:
    """Prints `facts` as JSON: tuples with names and dataclasses as objects, times in ISO 8601, and nan as null."""
    print(json.dumps(plain(facts), indent=2, ensure_ascii=False))


def warn(line: str) -> None:
    """Prints a line beside the command's result."""
    print(line, file=sys.stderr)


@contextlib.contextmanager
def waits_told() -> Iterator[None]:
    """Shows on standard error what storage logs within the block, such as a wait for a lock."""
    handler, logger = logging.StreamHandler(sys.stderr), logging.getLogger("trainer.storage")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def print_parts(*parts: "RenderableType") -> None:
    """Prints tables and lines of text, or of rich's `Text` for a colour."""
    console = _console()
    for part in parts:
        console.print(part, markup=False, soft_wrap=isinstance(part, str))


def table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> "Table":
    """Returns a table whose cells are texts, None, or rich's `Text` for a colour. A head that starts with `>` is of
    numbers, which stand at the right.
    """
    from rich.table import Table
    from rich.text import Text

    found = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        is_number = head.startswith(">")
        found.add_column(Text(head.removeprefix(">")), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        found.add_row(*(cell if isinstance(cell, Text) else Text(str("" if cell is None else cell)) for cell in row))
    return found


def styled(text: str, style: str) -> Any:
    """Returns `text` in one of rich's styles, such as green, for a cell or a line."""
    from rich.text import Text

    return Text(text, style)


def _console() -> "Console":
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, width=None if is_terminal else WIDE, highlight=False, emoji=False)
