"""Options of commands, generated from the table of settings."""

import argparse
import json
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

from pipeline.settings import PRESET, PRESET_HELP, SPANS, PipelineConfig, build_config
from trainer.presets import PRESETS
from trainer.schema import Place, fields, plain_type, settings
from trainer.settings import TrainConfig


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds an option for each setting that may be given on the command line, in groups."""
    groups: dict[str, Any] = {}
    for name, setting in settings(PipelineConfig, Place.COMMAND_LINE).items():
        if setting.group not in groups:
            groups[setting.group] = parser.add_argument_group(setting.group)
        _add(groups[setting.group], PipelineConfig, name)
    recipe = parser.add_argument_group("recipe; what is not given comes from the preset")
    recipe.add_argument("--preset", default=PRESET, choices=list(PRESETS), help=f"{PRESET_HELP} (default: %(default)s)")
    for name in settings(TrainConfig, Place.COMMAND_LINE):
        _add(recipe, TrainConfig, name, show_default=False)
    recipe.add_argument(
        "--set",
        dest="others",
        type=assignment,
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="any other setting of the recipe, such as --set iaf_steps=0",
    )


def config_of(options: argparse.Namespace) -> PipelineConfig:
    """Builds the run that the options ask for.

    Raises:
      SettingError: a value is invalid, or has no meaning beside the others.
    """
    recipe = dict(options.others) | given_of(options, settings(TrainConfig, Place.COMMAND_LINE))
    run = given_of(options, settings(PipelineConfig, Place.COMMAND_LINE))
    return build_config(options.preset, recipe, run)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds the settings of the data of a run, and the state directory."""
    group = parser.add_argument_group("data")
    for name in _data():
        _add(group, PipelineConfig, name)
    add_root(parser)


def data_of(options: argparse.Namespace) -> PipelineConfig:
    """Builds a run of the data and the state directory that the options name.

    Raises:
      SettingError: a value is invalid, or has no meaning beside the others.
    """
    return build_config(PRESET, {}, given_of(options, [*_data(), "root"]))


def _data() -> list[str]:
    """Returns the names of the settings of data without spans."""
    found = settings(PipelineConfig, Place.COMMAND_LINE)
    return [name for name, setting in found.items() if setting.group == "data" and setting.needs != SPANS]


def add_root(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the state directory."""
    add_some(parser, ["root"])


def root_of(options: argparse.Namespace) -> str:
    """Returns the state directory that the options name, as an absolute path."""
    return PipelineConfig(**given_of(options, ["root"])).root


def add_some(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Adds the options of these settings of a run."""
    for name in names:
        _add(parser, PipelineConfig, name)


def assignment(text: str) -> tuple[str, Any]:
    """Splits NAME=VALUE; the value is JSON, or else a string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def given_of(options: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Returns the values of the settings among `names` that the options give."""
    found = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _add(group: Any, table: Any, name: str, show_default: bool = True) -> None:
    field = fields(table)[name]
    kind, default, setting = plain_type(field), field.default, settings(table, Place.COMMAND_LINE)[name]
    option, help_ = f"--{name.replace('_', '-')}", setting.help.replace("%", "%%")
    keywords: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
    if kind is bool:
        keywords["action"] = "store_true" if default is False else argparse.BooleanOptionalAction
    elif get_origin(kind) is tuple:
        option, keywords = option.removesuffix("s"), keywords | {"action": "append", "metavar": "ARG"}
    elif get_origin(kind) is Literal:
        keywords["choices"] = get_args(kind)
    else:
        unit = setting.unit.split(",")[0].upper()
        keywords |= {"type": kind, "metavar": unit or {int: "N", float: "X"}.get(kind, "NAME")}
    if show_default and default not in (None, False, ()):
        help_ += f" (default: {default})"
    group.add_argument(option, help=help_, **keywords)
