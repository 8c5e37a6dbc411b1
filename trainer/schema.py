"""Settings: each is declared once, with its range, default, unit and help, and where it may be given.

A table of settings is a class made by `table`, whose fields are made by `setting`. pydantic checks the values; the
command line, Kubeflow's form and the reference pages are generated from the same declarations.
"""

import difflib
import enum
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar, Union, cast, dataclass_transform, get_args, get_origin

import pydantic
import pydantic.dataclasses
from pydantic.fields import FieldInfo

from trainer.errors import UserError

Table = TypeVar("Table")


class Place(enum.Flag):
    """Where a setting may be given."""

    COMMAND_LINE = enum.auto()  # as an option of its own
    FORM = enum.auto()  # as a parameter of its own, in the Kubeflow UI
    RECIPE = enum.auto()  # in a preset, with --set, or in the form's `settings`
    CLUSTER = enum.auto()  # in cluster.yaml


class Needs(NamedTuple):
    """A condition without which a setting has no meaning."""

    words: str
    holds: Callable[[Any], bool]  # of the whole table


class Setting(NamedTuple):
    """What a declaration says beside type, default and bounds."""

    help: str
    unit: str = ""
    places: Place = Place.RECIPE
    group: str = ""  # of the command line's help
    valid: str = ""  # what is expected, where pydantic's words do not say it
    needs: Needs | None = None


def setting(
    help: str,  # noqa: A002  as argparse calls it
    unit: str = "",
    places: Place = Place.RECIPE,
    group: str = "",
    *,
    valid: str = "",
    needs: Needs | None = None,
    **field: Any,
) -> Any:
    """Declares a setting, as the value of a table's field; see `Setting`.

    `field` is its default or default_factory, and its bounds, such as ge=1, as in pydantic's `Field`.
    """
    extra: Any = {"unit": unit} if unit else None
    info = pydantic.Field(description=help, json_schema_extra=extra, **field)
    info.metadata.append(Setting(help, unit, places, group, valid, needs))
    return info


class SettingError(UserError, ValueError):
    """A setting with an invalid value. `setting` is its name, with dots between the levels of a file."""

    def __init__(self, setting: str, valid: str, value: Any, *, where: str = "", remedy: str = "") -> None:
        super().__init__(f"{where}{setting}", value=value, valid=valid, remedy=remedy)
        self.setting = setting

    def below(self, *location: int | str, where: str = "") -> "SettingError":
        """Returns the same error of a setting below `location`, which is in a file at `where`."""
        name, failure = ".".join(map(str, (*location, self.setting))), self.failure
        return SettingError(name, failure.valid, failure.value, where=where, remedy=failure.remedy)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting, pydantic.Field))
def table(cls: type[Table]) -> type[Table]:
    """Makes `cls` a frozen dataclass whose constructor checks its arguments, and raises SettingError."""
    config = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    made = pydantic.dataclasses.dataclass(cls, frozen=True, kw_only=True, config=config)
    init = made.__init__

    def __init__(self: Any, **values: Any) -> None:  # noqa: N807  it replaces the class's
        try:
            init(self, **values)
        except pydantic.ValidationError as error:
            raise _error(made, error) from None

    made.__init__ = __init__  # type: ignore[method-assign]
    return cast(type[Table], made)


def nested(cls: Any) -> pydantic.BeforeValidator:
    """Annotates a field that holds the table `cls`, which is made from a mapping."""
    return pydantic.BeforeValidator(
        lambda value: cls(**{str(name): item for name, item in value.items()}) if isinstance(value, Mapping) else value
    )


def fields(cls: Any) -> dict[str, FieldInfo]:
    """Returns pydantic's description of each field of a table: annotation, default, metadata."""
    return cls.__pydantic_fields__


def settings(cls: Any, places: Place) -> dict[str, Setting]:
    """Returns the settings of a table that may be given at one of `places`, by name."""
    found = {name: _setting(field) for name, field in fields(cls).items()}
    return {name: setting for name, setting in found.items() if setting and setting.places & places}


def plain_type(field: FieldInfo) -> Any:
    """Returns the type of a field, without None."""
    hint = field.annotation
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    return hint


def check_needs(config: Any, given: Iterable[str]) -> None:
    """Refuses the settings among `given` that have no meaning beside the others.

    Raises:
      SettingError: there is one.
    """
    for name in given:
        setting = _setting(fields(type(config))[name])
        if setting and (needs := setting.needs) and not needs.holds(config):
            expected = f"not to be given without {needs.words}"
            raise SettingError(name, expected, getattr(config, name), remedy="Remove it")


def nearest(name: str, names: Iterable[str]) -> str:
    """Returns a remedy with the name that was probably meant; empty if no name is near."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return f"Did you mean {found[0]}?" if found else ""


def _error(cls: Any, error: pydantic.ValidationError) -> SettingError:
    """Translates the first of pydantic's errors about the table `cls`."""
    first = error.errors()[0]
    location = first["loc"]  # empty for an error of __post_init__
    if isinstance(raised := first.get("ctx", {}).get("error"), SettingError):  # of a nested table or several settings
        return raised.below(*location)
    name = str(location[0])
    if first["type"] == "unexpected_keyword_argument":
        return SettingError(name, f"one of {', '.join(fields(cls))}", name, remedy=nearest(name, fields(cls)))
    setting, value = _setting(fields(cls)[name]), first["input"]
    valid = (setting and setting.valid) or first["msg"].partition(" should be ")[2] or first["msg"]
    if first["type"] == "missing":
        valid, value = (setting and setting.valid) or "a value", None
    elif first["type"] == "dataclass_exact_type":
        valid = "settings with names"
    return SettingError(".".join(map(str, location)), valid, value)


def _setting(field: FieldInfo) -> Setting | None:
    return next((found for found in field.metadata if isinstance(found, Setting)), None)
