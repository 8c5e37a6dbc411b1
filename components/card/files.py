"""Writes a model card into a version's folder, and reads it."""

import os
import pathlib

from components.card.card import Card
from components.card.names import FACTS, HTML, MARKDOWN
from components.card.text import html, markdown


def write_card(card: Card, model: str) -> None:
    """Writes the card into the SavedModel at the path `model`, in place of the one that it has.

    Raises:
      OSError: it cannot be written.
    """
    text = markdown(card)
    page = html(text, f"Model card: {card.series}, version {card.version}")
    for name, content in ((FACTS, card.to_json()), (MARKDOWN, text), (HTML, page)):
        path = pathlib.Path(model, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)


def read_card(model: str) -> Card | None:
    """Reads the card of the SavedModel at the path `model`; None if an earlier version of this project pushed it."""
    path = os.path.join(model, FACTS)
    return Card.from_json(pathlib.Path(path).read_text()) if os.path.exists(path) else None
