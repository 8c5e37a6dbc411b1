"""Names that users give, for people to read."""


def readable(name: bytes) -> str:
    """Returns an id, a label or a file's name as one line of printable text."""
    text = name.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
