"""The settings as rows of a table. Everything that the reference pages know of a setting comes from `settings_of`."""

import dataclasses
import inspect
import re
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A setting."""

    name: str
    type: str
    default: str
    valid: str = ""  # range or choices
    unit: str = ""
    help: str = ""
    places: str = ""  # where it may be given


def settings_of(cls: Any) -> list[Row]:
    """The settings of a dataclass: its fields, with the comment behind each as its help."""
    comments = dict(re.findall(r"^    (\w+): .*?  # (.*)$", inspect.getsource(cls), re.MULTILINE))
    return [
        Row(
            field.name,
            getattr(field.type, "__name__", str(field.type)),
            _default(field),
            help=field.metadata.get("description") or comments.get(field.name, ""),
        )
        for field in dataclasses.fields(cls)
        if not dataclasses.is_dataclass(field.type)
    ]


def _default(field: Any) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not dataclasses.MISSING else "needed"
