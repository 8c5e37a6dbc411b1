"""What the documents say that `--json` prints."""

import pathlib
import re

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "howto" / "scripting.md"


def printed() -> dict[str, set[str]]:
    """Returns the keys of what each command prints, or of each object in the list that it prints."""
    rows = re.findall(r"^\| `([\w -]+)` \| (?:list: )?(`.*`) \|$", PAGE.read_text(), re.MULTILINE)
    return {command: set(re.findall(r"`(\w+)`", text)) for command, text in rows}
