"""Draws the lineage of a run: boxes one below the other, and beside them what else went in."""

import itertools
from collections.abc import Sequence

from markupsafe import Markup, escape

from components.pages.account import Step

WIDTH = 340  # pixels, as of a narrow telephone
MAIN, SIDE = (0, 174), (196, 144)  # left edge and width of the columns
LINE, PAD, GAP = 15, 6, 22  # pixels: a line of text, above and below the text, between boxes
LETTER = 6.8  # pixels, width of a letter of 11 pixels in a wide font


def draw(steps: Sequence[Step]) -> Markup:
    """Returns an SVG in the colour of the text around it, with a description in words."""
    parts, y = [], 1
    for i, step in enumerate(steps):
        height = max(_height(step), _height(step.beside) if step.beside else 0)
        if i:
            x = MAIN[0] + MAIN[1] / 2
            parts.append(_arrow([(x, y - GAP), (x, y)]))
        parts.append(_box(step, MAIN, y, height))
        if step.beside:
            parts.append(_box(step.beside, SIDE, y, height, dashed=True))
            parts.append(_arrow([(SIDE[0], y + height / 2), (MAIN[0] + MAIN[1], y + height / 2)]))
        y += height + GAP
    return Markup(
        f'<svg class="lineage" viewBox="0 0 {WIDTH} {y - GAP + 1}" role="img" '
        'aria-labelledby="lineage-title lineage-words" '
        'style="width:100%;max-width:26rem;height:auto" fill="currentColor">'
        f'<title id="lineage-title">Lineage of the run</title><desc id="lineage-words">{escape(in_words(steps))}</desc>'
        f"{''.join(parts)}</svg>"
    )


def in_words(steps: Sequence[Step]) -> str:
    """Returns a sentence for each step."""
    sentences = [_words(steps[0])] if steps else []
    for before, step in itertools.pairwise(steps):
        also = f" and {_words(step.beside)}" if step.beside else ""
        sentences.append(f"{_words(step)}, from {before.title}{also}")
    return "".join(f"{sentence}. " for sentence in sentences).strip()


def _words(step: Step) -> str:
    return f"{step.title} ({', '.join(step.details)})" if step.details else step.title


def _height(step: Step) -> int:
    return LINE * (1 + len(step.details)) + 2 * PAD


def _box(step: Step, column: tuple[int, int], y: int, height: int, dashed: bool = False) -> str:
    left, width = column
    letters = int((width - 2 * PAD) / LETTER)
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    place = f'x="{left + 1}" y="{y}" width="{width - 2}" height="{height}" rx="5"'
    parts = [f'<rect {place} fill="none" stroke="currentColor"{dashes}/>']
    for row, text in enumerate((step.title, *step.details)):
        font = f"font:{'bold ' if row == 0 else ''}11px system-ui,sans-serif"
        place = f'x="{left + 1 + PAD}" y="{y + PAD + LINE * row + 11}"'
        parts.append(f'<text {place} style="{font}">{escape(_short(text, letters))}</text>')
    return "".join(parts)


def _arrow(points: Sequence[tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = points
    head = (
        f"{x2},{y2} {x2 - 4},{y2 - 7} {x2 + 4},{y2 - 7}"
        if x1 == x2
        else f"{x2},{y2} {x2 + 7},{y2 - 4} {x2 + 7},{y2 + 4}"
    )
    line = f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="currentColor"/>'
    return f'{line}<polygon points="{head}"/>'


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
