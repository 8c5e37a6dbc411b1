"""Facts in JSON's types."""

import dataclasses
import datetime
import enum
import math
from collections.abc import Mapping
from typing import Any


def plain(facts: Any) -> Any:
    """Returns `facts` in JSON's types: tuples with names and dataclasses as objects, times in ISO 8601, nan as None."""
    if dataclasses.is_dataclass(facts) and not isinstance(facts, type):
        return {field.name: plain(getattr(facts, field.name)) for field in dataclasses.fields(facts)}
    if isinstance(facts, tuple) and hasattr(facts, "_asdict"):
        return plain(facts._asdict())
    if isinstance(facts, Mapping):
        return {str(name): plain(value) for name, value in facts.items()}
    if isinstance(facts, list | tuple | set | frozenset):
        return [plain(item) for item in facts]
    if isinstance(facts, datetime.datetime):
        return facts.isoformat(timespec="seconds")
    if isinstance(facts, enum.Enum):
        return plain(facts.value)
    if isinstance(facts, float) and not math.isfinite(facts):
        return None
    return facts
