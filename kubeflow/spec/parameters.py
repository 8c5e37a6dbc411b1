"""The parameters of a run, which the form in the UI and `--param` give."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from kubeflow.spec.cluster import Cluster
from pipeline.settings import PRESET, PRESET_HELP, PipelineConfig, build_config
from trainer.schema import Place, Setting, fields, plain_type, setting, settings, table
from trainer.settings import TrainConfig


class Parameter(NamedTuple):
    """One entry of the form. A form has no absent value: 0 or an empty text stands for it."""

    kind: type
    default: Any
    help: str


@functools.cache
def parameters() -> dict[str, Parameter]:
    """Returns the form's entries by name."""
    found = {
        "preset": Parameter(str, PRESET, PRESET_HELP),
        "settings": Parameter(dict, {}, "any other settings of the recipe, by name"),
    }
    for name, declared in settings(TrainConfig, Place.FORM).items():
        field = fields(TrainConfig)[name]
        kind = plain_type(field)
        absent = "" if field.default == kind() else "; 0: as in the preset"
        found[name] = Parameter(kind, kind(), f"{_help(declared)}{absent}")
    for name, declared in settings(PipelineConfig, Place.FORM).items():
        field = fields(PipelineConfig)[name]
        if field.default is None:
            found[name] = Parameter(str, "", f"{_help(declared)}; a number, or empty")
        else:
            found[name] = Parameter(plain_type(field), field.default, _help(declared))
    return found


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Checks names and types of the form's values. A whole float is an integer: JSON does not tell them apart.

    Raises:
      SettingError: a name is unknown, or a value has another type.
    """
    form = _form()(**_whole(values))
    return {name: getattr(form, name) for name in values}


def run_config(values: Mapping[str, Any], cluster: Cluster) -> PipelineConfig:
    """Returns the run that the form's values ask for, with all its folders on the cluster's volume.

    Raises:
      SettingError: a name is unknown, or a value is invalid or without meaning beside the others.
    """
    known = parameters()  # the form sends all of them
    given = {name: value for name, value in checked(values).items() if value != known[name].default}
    preset, recipe = given.pop("preset", PRESET), given.pop("settings", {})
    recipe |= {name: given.pop(name) for name in settings(TrainConfig, Place.FORM) if name in given}
    for name in given.keys() & {"min_elbo", "min_label_elbo"}:
        given[name] = _number(given[name])
    engine = {"beam_args": cluster.beam.arguments, "beam_nodes": tuple(cluster.beam.nodes)}
    return build_config(preset, recipe, {**given, **engine, "root": cluster.volume.path})


@functools.cache
def _form() -> Any:
    """Makes the table of the form."""
    declared = {
        name: setting(found.help, default=found.default, valid="a JSON object" if found.kind is dict else "")
        for name, found in parameters().items()
    }
    kinds = {name: found.kind for name, found in parameters().items()}
    return table(type("RunParameters", (), {"__annotations__": kinds, **declared}))


def _help(declared: Setting) -> str:
    return f"{declared.help}, in {declared.unit}" if declared.unit else declared.help


def _whole(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _whole(item) for name, item in values.items()}
    return int(values) if isinstance(values, float) and values.is_integer() else values


def _number(text: str) -> float | str | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        return text  # the table refuses it
