"""Writes SVG pictures that follow the reader's light or dark theme."""

from collections.abc import Iterable
from typing import Literal
from xml.sax.saxutils import escape

LETTER = 0.56  # mean width of a letter in font sizes, for Arial and metric-compatible fonts
WIDER = 1.06  # width of bold text relative to plain text

STYLE = """
  svg { font-family: Arial, "Liberation Sans", Helvetica, sans-serif; }
  .card { fill: #ffffff; } text { fill: #1f2328; } .dim { fill: #59636e; }
  .box { fill: #f6f8fa; stroke: #818b98; } .accent { fill: #0969da; } .frame { fill: none; stroke: #818b98; }
  .line { fill: none; stroke: #59636e; stroke-width: 1.3; } .head { fill: #59636e; stroke: none; }
  .rail { stroke: #c8d1da; stroke-width: 2; } .open { fill: #ffffff; stroke: #0969da; stroke-width: 1.6; }
  .dashed { stroke-dasharray: 4 3; } .bold { font-weight: bold; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #151b23; } text { fill: #f0f6fc; } .dim { fill: #b0b8c0; }
    .box { fill: #212830; stroke: #9198a1; } .accent { fill: #4493f8; } .frame { stroke: #9198a1; }
    .line { stroke: #b0b8c0; } .head { fill: #b0b8c0; }
    .rail { stroke: #3d444d; } .open { fill: #151b23; stroke: #4493f8; }
  }
"""
Anchor = Literal["start", "middle", "end"]


class Picture:
    """An SVG picture under construction. Lengths are in pixels.

    Args:
      title: alternative text.
      width: of the picture; `svg` takes the height.
    """

    def __init__(self, title: str, width: int) -> None:
        self._title, self._width = title, width
        self._parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, style: str = "box") -> None:
        """Draws a rectangle with round corners."""
        self._parts.append(f'<rect class="{style}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5"/>')

    def stripe(self, x: float, y: float, height: float) -> None:
        """Draws a vertical bar in the accent colour."""
        self._parts.append(f'<rect class="accent" x="{x:g}" y="{y:g}" width="4" height="{height:g}" rx="2"/>')

    def dot(self, x: float, y: float, style: str = "accent") -> None:
        """Draws a small circle around (x, y)."""
        self._parts.append(f'<circle class="{style}" cx="{x:g}" cy="{y:g}" r="5"/>')

    def text(self, x: float, y: float, text: str, size: float, style: str = "", anchor: Anchor = "start") -> None:
        """Writes `text` with its baseline at y."""
        place = f'x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}"'
        self._parts.append(f'<text class="{style}" {place}>{escape(text)}</text>')

    def line(self, points: Iterable[tuple[float, float]], style: str = "line", head: bool = False) -> None:
        """Draws a line through `points`, with an arrowhead at the last one if `head`."""
        corners = list(points)
        path = " ".join(f"{x:g},{y:g}" for x, y in corners)
        self._parts.append(f'<polyline class="{style}" points="{path}"/>')
        if head:
            (x0, y0), (x, y) = corners[-2:]
            dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
            tip = [(x, y), (x - 7 * dx + 4 * dy, y - 7 * dy + 4 * dx), (x - 7 * dx - 4 * dy, y - 7 * dy - 4 * dx)]
            self._parts.append(f'<polygon class="head" points="{" ".join(f"{a:g},{b:g}" for a, b in tip)}"/>')

    def svg(self, height: float) -> str:
        """Returns the whole picture."""
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width} {height:g}" '
                f'width="{self._width}" height="{height:g}" role="img">',
                f"<title>{escape(self._title)}</title>",
                f"<style>{STYLE}</style>",
                f'<rect class="card" width="{self._width}" height="{height:g}" rx="8"/>',
                *self._parts,
                "</svg>\n",
            ]
        )


def width_of(text: str, size: float, bold: bool = False) -> float:
    """Returns the estimated width of `text`."""
    return len(text) * size * LETTER * (WIDER if bold else 1.0)


def wrapped(text: str, size: float, width: float) -> list[str]:
    """Splits `text` into lines of at most `width`; a longer word gets its own line."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
