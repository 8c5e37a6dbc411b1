"""The parameters of a run, which the form in the UI and `--param` give."""

import functools
import json
import os
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin

from kubeflow.spec.cluster import Cluster
from pipeline.settings import PRESET, PRESET_HELP, PipelineConfig, build_config
from trainer.presets import PRESETS
from trainer.schema import Place, Setting, SettingError, fields, plain_type, setting, settings, table
from trainer.settings import STRATEGIES, TrainConfig

OF_PRESET, NONE = "preset", "none"  # words of the form: what the preset says, and no bound
CHOICES = {"true": True, "false": False}  # words of the form for a truth value that may be absent
ABOUT = "Retrains a VAE with inverse autoregressive flow and pushes it if its test-set ELBO allows."


class Parameter(NamedTuple):
    """One entry of the form. A number that may be absent is a text, in which a word stands for its absence."""

    kind: type
    default: Any
    help: str
    choices: tuple[str, ...] = ()  # all its values; empty: any of its kind


@functools.cache
def parameters() -> dict[str, Parameter]:
    """Returns the form's entries by name."""
    found = {
        "preset": Parameter(str, PRESET, PRESET_HELP, tuple(PRESETS)),
        "settings": Parameter(dict, {}, "any other settings of the recipe, by name"),
    }
    for name, declared in settings(TrainConfig, Place.FORM).items():
        found[name] = Parameter(str, OF_PRESET, f"{_help(declared)}; a number, or {OF_PRESET}")
    for name, declared in settings(PipelineConfig, Place.FORM).items():
        field = fields(PipelineConfig)[name]
        if field.default is None and plain_type(field) is str:
            found[name] = Parameter(str, NONE, _help(declared))
        elif field.default is None and plain_type(field) is bool:
            found[name] = Parameter(str, NONE, _help(declared), (NONE, *CHOICES))
        elif field.default is None:
            found[name] = Parameter(str, NONE, f"{_help(declared)}; a number, or {NONE}")
        else:
            kind, choices = plain_type(field), STRATEGIES if name == "strategy" else ()
            if get_origin(kind) is Literal:
                kind, choices = str, get_args(kind)
            found[name] = Parameter(kind, field.default, _help(declared), choices)
    return found


def description() -> str:
    """Returns what the pipeline does and what each parameter means, in Markdown, as Kubeflow's UI shows it."""
    form = sorted(parameters().items())  # as in the UI
    lines = [f"- `{name}` (default {_shown(found.default)}): {found.help}" for name, found in form]
    return "\n".join([ABOUT, "", "Parameters:", "", *lines])


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Checks names and types of the form's values. A whole float is an integer: JSON does not tell them apart.

    Pipelines of version 0.1 send numbers for what is a text now, with 0 for the preset's, and a truth value for
    warm_start; they become texts.

    Raises:
      SettingError: a name is unknown, or a value has another type.
    """
    texts = settings(TrainConfig, Place.FORM)
    given = {name: _text(value) if name in texts else value for name, value in _whole(values).items()}
    if isinstance(asked := given.get("warm_start"), bool):
        given["warm_start"] = "true" if asked else NONE
    form = _form()(**given)
    return {name: getattr(form, name) for name in values}


def run_config(values: Mapping[str, Any], cluster: Cluster) -> PipelineConfig:
    """Returns the run that the form's values ask for, with all its folders on the cluster's volume.

    Raises:
      SettingError: a name is unknown, or a value is invalid or without meaning beside the others.
    """
    known = parameters()  # the form sends all of them
    given = {name: value for name, value in checked(values).items() if value != known[name].default}
    preset, recipe = given.pop("preset", PRESET), given.pop("settings", {})
    for name in settings(TrainConfig, Place.FORM):
        if name in given:
            recipe = recipe | {name: _number(name, given.pop(name), OF_PRESET, plain_type(fields(TrainConfig)[name]))}
    if "warm_start" in given:
        given["warm_start"] = _choice("warm_start", given["warm_start"])
    for name in given.keys() & {"min_elbo", "min_label_elbo"}:
        given[name] = _number(name, given[name], NONE, float) if given[name].strip() else None  # empty in version 0.1
    for name in given.keys() & {"data", "serving_data"}:
        given[name] = os.path.join(cluster.volume.path, given[name])
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
    if not declared.unit:
        return declared.help
    what, semicolon, more = declared.help.partition(";")
    return f"{what}, in {declared.unit}{semicolon}{more}"


def _whole(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _whole(item) for name, item in values.items()}
    return int(values) if isinstance(values, float) and values.is_integer() else values


def _text(value: Any) -> Any:
    """Returns a number as a text, as the form has it now."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return str(value) if value else OF_PRESET


def _choice(name: str, text: str) -> bool:
    """Reads a truth value.

    Raises:
      SettingError: `text` is none.
    """
    if text not in CHOICES:
        raise SettingError(name, f"one of {NONE}, {', '.join(CHOICES)}", text)
    return CHOICES[text]


def _number(name: str, text: str, word: str, kind: type) -> float:
    """Reads a number.

    Raises:
      SettingError: `text` is none; `word` is what else it may be.
    """
    try:
        number = _whole(float(text))
    except ValueError:
        raise SettingError(name, f"a number, or {word}", text) from None
    return number if kind is int else float(number)  # a table refuses a fraction for an integer


def _shown(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
