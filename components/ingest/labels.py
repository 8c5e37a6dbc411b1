"""Labels as texts, which mean the same in every part and span of the data, whatever other labels are there."""

import re

from components.ingest.names import readable

NUMBER = re.compile(r"-?[0-9]{1,20}")


def label_text(label: int | str | bytes) -> bytes:
    """Returns a label as one line of printable UTF-8: a number in decimal, a name by `readable`."""
    if isinstance(label, int):
        return b"%d" % label
    name = label if isinstance(label, bytes) else label.encode(errors="surrogatepass")
    return readable(name).encode()


def label_order(label: str) -> tuple[bool, int, str]:
    """Returns the sort key of a label: numbers by value, then names alphabetically."""
    return (False, int(label), label) if NUMBER.fullmatch(label) else (True, 0, label)
