"""The history of its training that an exported model carries, so that a later run can compare itself with it."""

import json
import pathlib
from typing import Any

FILE = "assets.extra/training.json"  # TensorFlow Serving ignores a file of this name


def write_carried(history: dict[str, Any], model: str) -> None:
    """Writes a history (`trainer.training.record`) into the SavedModel at `model`, so that a copy of it keeps it."""
    path = pathlib.Path(model, FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(history, indent=1))


def read_carried(model: str) -> dict[str, Any] | None:
    """Returns the history that the SavedModel at `model` carries; None if an earlier version exported it."""
    path = pathlib.Path(model, FILE)
    return json.loads(path.read_text()) if path.is_file() else None
