"""Facts as tables for people or, with --json, as one JSON document for programs."""

import argparse
import json
import math
from collections.abc import Iterable
from typing import Any


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds the option --json."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def print_json(facts: Any) -> None:
    """Prints `facts` as JSON."""
    print(json.dumps(_plain(facts), indent=2))


def print_parts(*parts: str) -> None:
    """Prints tables and lines of text."""
    for part in parts:
        print(part)


def table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Returns a table."""
    found = [
        [head.removeprefix(">") for head in heads],
        *([str("" if cell is None else cell) for cell in row] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*found, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in found
    )


def _plain(facts: Any) -> Any:
    if isinstance(facts, tuple) and hasattr(facts, "_asdict"):
        return _plain(facts._asdict())
    if isinstance(facts, dict):
        return {str(name): _plain(value) for name, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_plain(item) for item in facts]
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts
