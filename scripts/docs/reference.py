"""Generates the reference pages from the code: `python -m scripts.docs.reference FOLDER` writes them to a folder."""

import argparse
import dataclasses
import importlib
import inspect
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from scripts.docs.settings import Row, settings_of, tables_in

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
LATENTS, HEIGHT, WIDTH, CHANNELS = 7, 11, 13, 3  # sizes that are unique in every signature
NAMES = {LATENTS: "L", HEIGHT: "H", WIDTH: "W", CHANNELS: "C"}


def commands() -> str:
    """Returns every command with its options, from the parser of the command line."""
    from pipeline.cli import parser as command_line

    parser = command_line()
    (choices,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    text = [
        "# Commands",
        f"{parser.description} `{parser.prog}` is `.venv/bin/{parser.prog}`; `python -m pipeline` is the same.",
        _table(("command", "what it does"), [(f"`{a.dest}`", a.help or "") for a in choices._choices_actions]),
    ]
    for name, command in choices.choices.items():
        text += [f"## {parser.prog} {name}", _plain(command.description or ""), *_options(command)]
        text += [_plain(command.epilog)] if command.epilog else []
        text.append(f"```sh\n{command.example}\n```")
        text += [f"[How to use it](../{command.guide})"] if command.guide else []
    text += ["## python -m trainer", "Trains without TFX, on the Examples that a run has ingested.", _help("trainer")]
    return "\n\n".join(text)


def _options(parser: argparse.ArgumentParser) -> Iterable[str]:
    """Returns a table for each group of options."""
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
        if actions:
            title = {"options": "", "positional arguments": ""}.get(group.title or "", group.title)
            if title:
                yield f"**{_sentence(title)}**"
            yield _table(("option", "meaning"), [(_option(action), _help_of(parser, action)) for action in actions])


def _option(action: argparse.Action) -> str:
    value = action.metavar or ("{" + ",".join(action.choices) + "}" if action.choices else "")
    words = [", ".join(action.option_strings), str(value) if action.nargs != 0 else ""]
    return f"`{' '.join(filter(None, words))}`"


def _help_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Returns the help text with its defaults, as `--help` prints it."""
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    return f"{text} (required)" if action.required and action.option_strings else text


def _help(module: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], check=True, capture_output=True, text=True, env={"COLUMNS": "100"}
    )
    return f"```text\n{done.stdout.rstrip()}\n```"


def exit_codes() -> str:
    """Returns the meanings of the exit codes, from the kinds of failures."""
    from trainer.errors import InterruptError
    from trainer.exit_codes import DONE
    from trainer.failure import EXIT_CODES, Kind

    acts = _comments(Kind)
    kinds: dict[int, list[Kind]] = {}
    for kind, code in EXIT_CODES.items():
        kinds.setdefault(code, []).append(kind)
    rows = [(f"`{DONE}`", "done: pushed, or unchanged", "nobody")]
    for code, found in sorted(kinds.items()):
        rows.append((f"`{code}`", " or ".join(found), "; ".join(acts[kind.name] for kind in found)))
    rows += [
        (f"`{InterruptError(number).exit_code}`", f"stopped by {number.name}", acts[Kind.STOPPED.name])
        for number in SIGNALS
    ]
    return "\n\n".join(
        [
            "# Exit codes",
            "`vaeiaf run` and `vaeiaf submit --wait` have these exit codes, and so has `python -m trainer`, except 3. "
            "`make` has its own exit codes.",
            _table(("code", "outcome", "who must act"), rows),
            "## By command",
            "\n\n".join(f"**`vaeiaf {name}`.** {_plain(epilog)}" for name, epilog in _epilogs()),
            "## error.json",
            "A process that fails writes the failure to a file beside its log, whose name ends with `error.json`. A "
            "pod on Kubernetes also writes it to its termination message. The fields:",
            _fields("trainer.failure", "Failure"),
        ]
    )


def _epilogs() -> Iterable[tuple[str, str]]:
    from pipeline.cli import parser

    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from ((name, parser.epilog) for name, parser in action.choices.items() if parser.epilog)


def _fields(module: str, name: str) -> str:
    cls = getattr(importlib.import_module(module), name)
    meanings = {"kind": "one of the outcomes above", "sentence": "what is wrong", "remedy": "what to do next"}
    meanings |= _comments(cls)
    return _table(
        ("field", "meaning"), [(f"`{field.name}`", meanings[field.name]) for field in dataclasses.fields(cls)]
    )


def _comments(cls: Any) -> dict[str, str]:
    """Returns the comment of each field of a class by the field's name."""
    return dict(re.findall(r"^    (\w+)\b.*?  # (.*)$", inspect.getsource(cls), re.MULTILINE))


def signatures() -> str:
    """Returns the signatures of a pushed model, from a small model."""
    import tensorflow as tf

    from trainer.export import Servable
    from trainer.images import preprocessing
    from trainer.model.build import build
    from trainer.model.likelihoods.pixels import PixelModel
    from trainer.settings import TrainConfig
    from trainer.shape import Shape

    shape = Shape(HEIGHT, WIDTH, CHANNELS)
    config = TrainConfig(latent_size=LATENTS, hidden_size=2, iaf_hidden_size=LATENTS)
    moments = PixelModel(*(tf.fill([shape.size], 0.5) for _ in PixelModel._fields))
    servable = Servable(build(config, shape), moments, 1, preprocessing(shape), shape)
    rows = []
    for name, function in servable.signatures().items():
        traced = function.get_concrete_function()
        given = [spec for spec in traced.structured_input_signature[0] if isinstance(spec, tf.TensorSpec)]
        given += list(traced.structured_input_signature[1].values())
        summary = (function.python_function.__doc__ or "").strip().splitlines()[0]
        count = "n" if any(spec.name == "n" for spec in given) else "B"
        inputs = _tensors(((spec.name, spec) for spec in given), count)
        rows.append((f"`{name}`", inputs, _tensors(traced.structured_outputs.items(), count), summary))
    return "\n\n".join(
        [
            "# Signatures",
            "A pushed model is a SavedModel with these signatures. B is the number of images, H, W and C are their "
            "height, width and channels, those of the training data, and L is the number of latents. "
            "TensorFlow Serving calls `serving_default` by default.",
            _table(("signature", "inputs", "outputs", "what it returns"), rows),
            "An encoded image is a PNG or JPEG file. An Example has the features `image`, `label` and `id`. All "
            "log-likelihoods are in nats per image.",
        ]
    )


def _tensors(tensors: Iterable[tuple[str, Any]], count: str) -> str:
    return ", ".join(f"`{name}` {spec.dtype.name} {_shape(spec, count)}".rstrip() for name, spec in sorted(tensors))


def _shape(spec: Any, count: str) -> str:
    sizes = [count if size is None else NAMES[size] for size in spec.shape.as_list()]
    return f"[{', '.join(sizes)}]" if sizes else ""


def settings() -> str:
    """Returns the settings of a run, and the presets."""
    from pipeline.settings import PipelineConfig
    from trainer.settings import TrainConfig

    return "\n\n".join(
        [
            "# Settings",
            "On this page, `--option` is an option of [`vaeiaf run`](commands.md#vaeiaf-run). *Form* is a parameter of "
            "a run on Kubeflow, which `submit` and `schedule` take as `--param NAME=VALUE`.",
            "## A run",
            _settings(settings_of(PipelineConfig)),
            "## The recipe of a training",
            "`--preset` chooses a recipe. `--set NAME=VALUE`, or the parameter `settings` of the form, changes one "
            "of its settings.",
            _settings(settings_of(TrainConfig)),
            "## Presets",
            "All other settings of a preset have the defaults above.",
            _presets(),
        ]
    )


def _presets() -> str:
    from trainer.presets import PRESETS
    from trainer.settings import TrainConfig

    defaults = TrainConfig().to_dict()
    recipes = {name: recipe.to_dict() for name, recipe in PRESETS.items()}
    changed = [name for name in defaults if any(recipe[name] != defaults[name] for recipe in recipes.values())]
    rows = [(f"`{name}`", *(_changed(recipe[name], defaults[name]) for recipe in recipes.values())) for name in changed]
    return _table(("setting", *(f"`{name}`" for name in recipes)), rows)


def _changed(value: Any, default: Any) -> str:
    return "" if value == default else f"`{value}`"


def cluster() -> str:
    """Returns the settings of cluster.yaml, and the form of a run on Kubeflow."""
    from kubeflow.spec import cluster as spec
    from kubeflow.spec.parameters import parameters

    text = [
        "# cluster.yaml",
        "Describes a cluster to `vaeiaf compile`, `submit` and `schedule`. `vaeiaf schema cluster` prints its JSON "
        "Schema, with which editors complete and check the file.",
        "## Top level",
        _settings(settings_of(spec.Cluster)),
    ]
    for name, table in tables_in(spec.Cluster):
        inner = {f"{name}.{part}": found for part, found in tables_in(table)}
        text += [f"## {name}", _plain(table.__doc__ or "")]
        text += [f"`{part}` has the settings of [`pod`](#pod)." for part in inner if inner[part] is spec.PodSettings]
        text.append(_settings(settings_of(table)))
        for part, found in inner.items():
            if found is not spec.PodSettings:
                text += [f"### {part}", _plain(found.__doc__ or ""), _settings(settings_of(found))]
    example = pathlib.Path(spec.__file__).parent / "cluster.yaml"
    rows = [(f"`{name}`", f"`{it.kind.__name__}`", f"`{it.default}`", it.help) for name, it in parameters().items()]
    text += [
        "## An example",
        f"```yaml\n{example.read_text().rstrip()}\n```",
        "## Parameters of a run",
        "The fields of the form in Kubeflow's UI. `submit` and `schedule` take them as `--param NAME=VALUE`.",
        _table(("name", "type", "default", "meaning"), rows),
    ]
    return "\n\n".join(text)


PAGES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "settings": settings,
    "cluster": cluster,
    "exit-codes": exit_codes,
    "signatures": signatures,
}


def _settings(rows: Iterable[Row]) -> str:
    """Returns a table of settings without its empty columns."""
    found = list(rows)
    heads = [head for head in Row._fields if any(getattr(row, head) for row in found)]
    return _table(heads, [[getattr(row, head) for head in heads] for row in found])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("%%", "%")


def _sentence(text: str | None) -> str:
    return f"{text[0].upper()}{text[1:]}" if text else ""


def main(folder: str) -> None:
    """Writes each page as a Markdown file."""
    for name, page in PAGES.items():
        pathlib.Path(folder, f"{name}.md").write_text(page() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
