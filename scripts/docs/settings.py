"""Reads the settings from their declarations in the code, as rows of a table."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipeline.cli import parser
from trainer.schema import Place, fields, plain_type, settings

ANYWHERE = ~Place(0)
BOUNDS = {Ge: "at least", Gt: "above", Le: "at most", Lt: "below"}
HUGE = 1e30  # larger bounds only keep a number within float32


class Row(NamedTuple):
    """A row of the table of settings."""

    name: str
    type: str  # and unit
    default: str
    valid: str  # range or choices
    meaning: str
    given: str  # where


def settings_of(table: Any) -> list[Row]:
    """Returns the settings of a table, without nested tables."""
    rows = []
    for name, setting in settings(table, ANYWHERE).items():
        field = fields(table)[name]
        needs = f"; only with {setting.needs.words}" if setting.needs else ""
        rows.append(
            Row(
                f"`{name}`",
                f"{_type(plain_type(field))}, {setting.unit}" if setting.unit else _type(plain_type(field)),
                f"`{_default(field)}`",
                setting.valid or _range(field),
                setting.help + needs,
                _places(name, setting.places),
            )
        )
    return rows


def tables_in(table: Any) -> Iterator[tuple[str, Any]]:
    """Yields the names and types of the tables nested directly in a table."""
    for name, field in fields(table).items():
        if dataclasses.is_dataclass(kind := plain_type(field)):
            yield name, kind


def _type(kind: Any) -> str:
    """Returns the name of a type, without pydantic's constraints."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return "str" if get_origin(kind) is Literal else (get_origin(kind) or kind).__name__


def _range(field: FieldInfo) -> str:
    if get_origin(plain_type(field)) is Literal:
        return ", ".join(map(str, get_args(plain_type(field))))
    limits = [
        (word, getattr(bound, kind.__name__.lower()))
        for kind, word in BOUNDS.items()
        for bound in field.metadata
        if isinstance(bound, kind)
    ]
    return ", ".join(f"{word} {limit}" for word, limit in limits if abs(limit) < HUGE)


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "required"
    return "none" if default is None else "empty" if default == "" else str(default)


def _places(name: str, places: Place) -> str:
    """Returns where the setting `name` can be given."""
    ways = {Place.COMMAND_LINE: f"`{_options().get(name)}`", Place.RECIPE: "`--set`", Place.FORM: "form"}
    return ", ".join(way for place, way in ways.items() if place & places)


@functools.cache
def _options() -> dict[str, str]:
    """Returns the option of `vaeiaf run` for each setting that has one."""
    (commands,) = [action.choices for action in parser()._actions if isinstance(action.choices, dict)]
    return {action.dest: action.option_strings[0] for action in commands["run"]._actions}
