"""Reads HTML pages as a browser would: what a reader sees, and what the page fetches."""

import re
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """The elements of a page, each with its attributes and the text in it."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in self.VOID:
            self._open.append((tag, self.elements[-1][2]))

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data: str) -> None:
        for _, text in self._open:
            text.append(data)

    def texts(self, tag: str) -> list[str]:
        """What stands in each element of the tag."""
        return [" ".join("".join(text).split()) for name, _, text in self.elements if name == tag]

    def attributes(self, tag: str, name: str) -> list[str]:
        """The values of an attribute of the elements of the tag that have it."""
        return [found[name] for of, found, _ in self.elements if of == tag and name in found]

    @property
    def tags(self) -> set[str]:
        return {name for name, *_ in self.elements}

    @property
    def fetched(self) -> list[str]:
        """What the browser loads without being asked."""
        styles = re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", "".join(self.texts("style")))
        sources = [found[name] for _, found, _ in self.elements for name in ("src", "srcset", "data") if name in found]
        linked = self.attributes("link", "href")
        return [source for source in [*sources, *linked, *map("".join, styles)] if not source.startswith("data:")]
