"""A table checks its values by its own declarations, and names the setting, what is valid and what was given."""

import dataclasses
from typing import Annotated, Literal

import pydantic
import pytest

from trainer.errors import UserError
from trainer.schema import (
    Needs,
    Place,
    SettingError,
    check_needs,
    fields,
    nearest,
    nested,
    plain_type,
    setting,
    settings,
    table,
)

LOUD = Needs("volume", lambda radio: radio.volume > 0)


@table
class Battery:
    cells: int = setting("in a row", "cells", default=4, ge=1)
    maker: str | None = setting("who made it", default=None)


@table
class Radio:
    name: str = setting("on the label", valid="a short name")
    volume: int = setting("of the sound", "dB", Place.COMMAND_LINE | Place.FORM, default=5, ge=0, lt=11)
    band: Literal["FM", "AM"] = setting("what it receives", places=Place.FORM, default="FM")
    bass: bool = setting("more of it", needs=LOUD, default=False)
    battery: Annotated[Battery, nested(Battery)] = setting("its power", default_factory=Battery)
    untold: int = 0

    def __post_init__(self) -> None:
        if self.band == "AM" and self.bass:
            raise SettingError("bass", "false with AM", self.bass, remedy="Buy another")


def refusal(**values):
    with pytest.raises(SettingError) as error:
        Radio(**{"name": "a"} | values)
    return error.value


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"volume": "5"}, "volume"),
        ({"volume": 5.0}, "volume"),
        ({"volume": True}, "volume"),
        ({"volume": None}, "volume"),
        ({"volume": -1}, "volume"),
        ({"volume": 11}, "volume"),
        ({"band": "fm"}, "band"),
        ({"bass": 1}, "bass"),
        ({"name": 3}, "name"),
        ({"battery": 3}, "battery"),
        ({"battery": {"cells": 0}}, "battery.cells"),
        ({"battery": {"cells": "4"}}, "battery.cells"),
        ({"battery": {"volts": 9}}, "battery.volts"),
        ({"untold": "0"}, "untold"),
    ],
)
def test_a_wrong_type_bound_or_choice_is_refused_by_its_name_with_dots_between_levels(values, setting):
    error, value = refusal(**values), values
    while isinstance(value, dict):
        (given, value), *_ = value.items()
    assert (error.setting, error.failure.sentence) == (setting, setting)
    assert error.failure.value == (given if given == "volts" else value)
    assert error.failure.valid


def test_an_unknown_name_is_refused_with_those_there_are_and_the_nearest():
    error = refusal(volum=3)
    assert (error.setting, error.failure.value) == ("volum", "volum")
    assert error.failure.valid == f"one of {', '.join(fields(Radio))}"
    assert error.failure.remedy == nearest("volum", fields(Radio)) == "Did you mean volume?"
    assert refusal(unlike_any=3).failure.remedy == ""


def test_a_missing_setting_is_refused():
    with pytest.raises(SettingError) as error:
        Radio()
    assert (error.value.setting, error.value.failure.value) == ("name", None)


def test_a_setting_can_say_itself_what_is_valid():
    assert refusal(name=3).failure.valid == "a short name"


def test_settings_that_do_not_fit_together_are_refused_with_all_that_the_table_says():
    error = refusal(band="AM", bass=True)
    failure = error.failure
    assert (error.setting, failure.valid, failure.value, failure.remedy) == (
        *("bass", "false with AM", True, "Buy another"),
    )


def test_a_table_within_a_table_is_made_of_a_mapping():
    assert Radio(name="a", battery={"cells": 2}).battery == Battery(cells=2)
    assert Radio(name="a", battery=Battery(cells=3)).battery.cells == 3


def test_a_replaced_setting_is_checked_again_and_none_can_be_assigned():
    radio = Radio(name="a", volume=3)
    assert dataclasses.replace(radio, volume=4) == Radio(name="a", volume=4)
    with pytest.raises(SettingError):
        dataclasses.replace(radio, volume=11)
    with pytest.raises(dataclasses.FrozenInstanceError):
        radio.volume = 4


def test_a_refusal_is_the_users_and_a_value_error():
    assert issubclass(SettingError, UserError)
    assert issubclass(SettingError, ValueError)


def test_a_setting_given_without_its_condition_is_refused_and_others_are_not():
    quiet = Radio(name="a", volume=0, bass=True)
    check_needs(quiet, ["name", "volume", "untold"])
    check_needs(Radio(name="a", bass=True), ["bass"])
    with pytest.raises(SettingError) as error:
        check_needs(quiet, ["name", "bass"])
    assert (error.value.setting, error.value.failure.value) == ("bass", True)
    assert LOUD.words in error.value.failure.valid
    assert error.value.failure.remedy


def test_the_settings_of_a_place_are_those_that_name_it():
    assert list(settings(Radio, Place.FORM)) == ["volume", "band"]
    assert list(settings(Radio, Place.COMMAND_LINE)) == ["volume"]
    assert list(settings(Radio, Place.RECIPE)) == ["name", "bass", "battery"], "the place of those that name none"
    assert settings(Radio, Place.FORM)["volume"].help == "of the sound"


def test_a_plain_type_is_without_none():
    assert plain_type(fields(Battery)["maker"]) is str
    assert plain_type(fields(Battery)["cells"]) is int


def test_the_json_schema_has_help_unit_bounds_choices_and_defaults():
    schema = pydantic.TypeAdapter(Radio).json_schema()
    assert not schema["additionalProperties"]
    volume = schema["properties"]["volume"]
    expected = {"description": "of the sound", "unit": "dB", "minimum": 0, "exclusiveMaximum": 11, "default": 5}
    assert volume.items() >= expected.items()
    band = schema["properties"]["band"]
    assert band.items() >= {"description": "what it receives", "enum": ["FM", "AM"]}.items()
    assert "unit" not in band
