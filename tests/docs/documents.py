"""What the tests read from the documents: fenced blocks, commands, inline code, sections."""

import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

REPOSITORY = pathlib.Path(__file__).parents[2]
README = REPOSITORY / "README.md"
PAGES = sorted((REPOSITORY / "docs").rglob("*.md"))
FILES = [README, *PAGES]

MARK = re.compile(r"<!-- (run|needs: (cluster|container|minutes|network)) -->")
FENCE = re.compile(r"^( *)```(\w*)$")
SEPARATORS = {"&&", "||", "|", ";", ">"}


class Block(NamedTuple):
    """A fenced block."""

    where: str  # file and line
    language: str
    mark: str  # of the comment above it: run, or needs: WHAT; empty if there is none
    text: str


def blocks(path: pathlib.Path) -> Iterator[Block]:
    """The fenced blocks of a file."""
    lines = path.read_text().splitlines()
    start, mark, fence = None, "", None
    for number, line in enumerate(lines, 1):
        found = FENCE.match(line)
        if start is None and found:
            above = MARK.fullmatch(lines[number - 2].strip()) if number > 1 else None
            start, mark, fence = number, above.group(1) if above else "", found
        elif start is not None and line == f"{fence.group(1)}```":
            text = "\n".join(item.removeprefix(fence.group(1)) for item in lines[start : number - 1])
            yield Block(f"{path.relative_to(REPOSITORY)}:{start}", fence.group(2), mark, text)
            start = None
    assert start is None, f"{path}:{start}: the block has no end"


def commands(text: str) -> Iterator[list[str]]:
    """The simple commands of a shell script, as words; without assignments before them and what follows a `>`."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars="&|;>")
        words.whitespace_split = True
        command: list[str] = []
        for word in [*words, ";"]:
            if word in SEPARATORS:
                if command:
                    yield command
                command = []
            elif command or not re.fullmatch(r"[A-Za-z_]\w*=.*", word):
                command.append(word)
            if word == ">":
                break


def prose(path: pathlib.Path) -> str:
    """The text of a file without its fenced blocks."""
    lines, inside = [], False
    for line in path.read_text().splitlines():
        if FENCE.match(line) or (inside and line.strip() == "```"):
            inside = not inside
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def inline_code(path: pathlib.Path) -> list[str]:
    """The inline code of a file, in one line each."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(path))]


def sections(path: pathlib.Path) -> list[str]:
    """The parts of a file between headings, with the fenced blocks."""
    return re.split(r"^#+ ", path.read_text(), flags=re.MULTILINE)
