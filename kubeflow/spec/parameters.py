"""The parameters of a run, as the form in the UI asks for them."""

import copy
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from kubeflow.spec.cluster import Cluster
from pipeline.settings import PRESET, PipelineConfig, build_config
from trainer.schema import Place, Setting, SettingError, fields, plain_type, settings, table
from trainer.settings import TrainConfig


class Parameter(NamedTuple):
    """One entry of the form, which has no absent value: 0 or an empty text stands for it."""

    kind: type
    default: Any
    help: str


@functools.cache
def parameters() -> dict[str, Parameter]:
    """The form's entries by name."""
    found = {
        "preset": Parameter(str, PRESET.default, PRESET.setting.help),
        "settings": Parameter(dict, {}, "any other settings of the recipe, by name"),
    }
    for name, setting in settings(TrainConfig, Place.FORM).items():
        kind = plain_type(fields(TrainConfig)[name])
        found[name] = Parameter(kind, kind(), f"{_help(setting)}; 0: as in the preset")
    for name, setting in settings(PipelineConfig, Place.FORM).items():
        field = fields(PipelineConfig)[name]
        kind, default = (str, "") if field.default is None else (plain_type(field), field.default)
        found[name] = Parameter(kind, default, _help(setting))
    return found


def run_config(values: Mapping[str, Any], cluster: Cluster) -> PipelineConfig:
    """The run that the form's values ask for, with everything on the cluster's volume.

    Raises:
      SettingError: a name is unknown, or a value is invalid or without meaning beside the others.
    """
    checked = _form()(**_whole(values))
    found: dict[str, Any] = {name: getattr(checked, name) for name in values}
    given = {name: value for name, value in found.items() if value != parameters()[name].default}  # the form sends all
    preset, recipe = given.pop("preset", PRESET.default), given.pop("settings", {})
    recipe |= {name: given.pop(name) for name in settings(TrainConfig, Place.FORM) if name in given}
    for name in given.keys() & {"min_elbo", "min_label_elbo"}:
        given[name] = _number(name, given[name])
    return build_config(preset, recipe, {**given, "root": cluster.volume.path})


@functools.cache
def _form() -> Any:
    """The table that checks names and types."""
    entries = [
        (name, found.kind, dataclasses.field(default_factory=functools.partial(copy.copy, found.default)))
        for name, found in parameters().items()
    ]
    return table(dataclasses.make_dataclass("RunParameters", entries, frozen=True))


def _help(setting: Setting) -> str:
    unit = f", {setting.unit}" if setting.unit else ""
    return f"gate: {setting.help}{unit}" if setting.group == "gate" else f"{setting.help}{unit}"


def _whole(values: Any) -> Any:
    """JSON numbers may come as floats: 3.0 is 3."""
    if isinstance(values, Mapping):
        return {name: _whole(item) for name, item in values.items()}
    return int(values) if isinstance(values, float) and values.is_integer() else values


def _number(name: str, text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise SettingError(name, "a number of nats per image, or nothing", text) from None
