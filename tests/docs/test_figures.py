"""A table of figures has the command beside it that measures them."""

import re

import pytest
from documents import FILES, REPOSITORY, sections

FIGURES = 3  # numbers in a table's rows that make it one of figures
COMMAND = re.compile(r"`?(make (bench|chaos|run|test)|(\.venv/bin/)?vaeiaf run|python -m tests\.\w+|pytest tests/)")


def is_of_figures(section):
    """Whether a section has a table of measured numbers."""
    cells = [cell.strip(" *") for row in re.findall(r"^\|(.*)\|$", section, re.MULTILINE) for cell in row.split("|")]
    return sum(bool(re.fullmatch(r"-?[\d,.]+( %)?", cell)) for cell in cells) >= FIGURES


PARTS = [
    (f"{path.relative_to(REPOSITORY)}: {section.splitlines()[0] if section else ''}", section)
    for path in FILES
    for section in sections(path)
    if is_of_figures(section)
]


def test_there_are_figures():
    assert len(PARTS) > 3


@pytest.mark.parametrize("section", [part for _, part in PARTS], ids=[name for name, _ in PARTS])
def test_figures_have_their_command(section):
    assert COMMAND.search(section)
