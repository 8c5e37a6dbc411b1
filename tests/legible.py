"""What keeps a page from being read: on a phone, on a desk, in the dark, in print, without a network, by ear."""

import itertools
import pathlib
import re
from html.parser import HTMLParser

from scripts.docs.browser import Browser, Screen

SCREENS = (Screen(360), Screen(360, dark=True), Screen(1280), Screen(1280, dark=True), Screen(700, print=True))
BYTES = 2_000_000  # of a page
MEASURE = pathlib.Path(__file__).with_suffix(".js").read_text()
VOID = {"br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


def faults(page: pathlib.Path, browser: Browser) -> list[str]:
    """Returns what is wrong with the page, each with the screens that show it."""
    html = page.read_text()
    source = Source(html)
    found: dict[str, list[str]] = {}
    for fault in source.faults:
        found[fault] = ["source"]
    for screen in SCREENS:
        browser.open(page, screen)
        measured = browser.evaluate(MEASURE)
        assert measured["inner"] == screen.width, "a test on a wider screen finds nothing"
        requests = [f"it requests {url[:80]}" for url in browser.requests if not url.startswith("data:")]
        its = [*requests[1:], *measured["faults"]]  # the first request is the page
        if [tuple(one) for one in measured["built"]] != source.elements:
            its.append("the browser corrects the nesting of its elements")
        for fault in its:
            found.setdefault(fault, []).append(str(screen))
    return [f"{fault} ({'; '.join(screens)})" for fault, screens in found.items()]


class Source(HTMLParser):
    """The elements of a page as they are written, and what is wrong with the text."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, int]] = []  # name and depth, tbody left out
        self.faults: list[str] = []
        self._open: list[str] = []
        self._ids: set[str] = set()
        self.feed(html)
        self.close()
        self._check(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the element."""
        if tag != "tbody":
            self.elements.append((tag, len([one for one in self._open if one != "tbody"])))
        for name, value in attrs:
            if name.startswith("on"):
                self.faults.append(f"<{tag}> has a script in {name}")
            if name == "id" and value in self._ids:
                self.faults.append(f"two elements have the id {value}")
            if name == "id":
                self._ids.add(str(value))
        if tag == "style" and "body" in self._open:
            self.faults.append("it has a <style> in its body")
        if tag == "img" and not {"width", "height"} <= dict(attrs).keys():
            self.faults.append("an <img> has no size, so the page moves while it loads")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes an element that ends where it starts, as SVG has them."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Ends the element that is open."""
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> ends another element")

    def _check(self, html: str) -> None:
        tags = [tag for tag, _ in self.elements]
        levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
        if levels[:1] != [1] or levels.count(1) != 1:
            self.faults.append("its first heading is not its only <h1>")
        if any(after > before + 1 for before, after in itertools.pairwise(levels)):
            self.faults.append(f"a level of headings is left out: {levels}")
        for needed in ("<!doctype html>", '<html lang="', '<meta charset="utf-8">', 'name="viewport"', "<title>"):
            if needed not in html:
                self.faults.append(f"it has no {needed}")
        if "script" in tags:
            self.faults.append("it has a script")
        if self._open:
            self.faults.append(f"<{self._open[-1]}> has no end")
        if (size := len(html.encode())) > BYTES:
            self.faults.append(f"it has {size:,} bytes")
