"""The command line, `vaeiaf`: each module here, unless its name starts with an underscore, is one command.

A command's module has HELP, a line; EXAMPLE, a command line; GUIDE, a page of the documents; `add_options(parser)`; and
`run(options)`, which returns the exit code. It may have `check(options)`, which raises an error about options before
anything starts, here or in a pod, and completes them; and `arrived(options)`, which acts on what a pod has sent. Its
docstring is the description, EPILOG what stands below the options. Nothing imports TensorFlow or TFX before it runs.
"""

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

from pipeline.cli._errand import run_errand_of
from pipeline.cli._parser import Parser
from pipeline.cli._server import no_kubeflow
from trainer.errors import ReportedError
from trainer.interrupt import interruptible
from trainer.terminal import lasting_streams


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0 pushed or unchanged, 1 failed, 2 bad input, 3 refused.

    It is 128 + n if signal n ended the command. Outside of the main thread signals are left to the caller.
    """
    # After an operation that failed, on a broken image, TensorFlow warns of its own shutdown once the console is back.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    with lasting_streams(), interruptible():
        return reported(lambda: _run(parser().parse_args(arguments)))


def reported(work: Callable[[], int]) -> int:
    """Returns the exit code of `work`, or prints the error that it raises and returns that of the error."""
    try:
        return work()
    except ReportedError as error:
        print(f"vaeiaf: {error}", file=sys.stderr)
        return error.exit_code


def _run(options: argparse.Namespace) -> int:
    if hasattr(options, "check"):
        options.check(options)
    return run_errand_of(options) if getattr(options, "errand", None) else options.run(options)


def parser() -> Parser:
    """The parser of all commands."""
    root = Parser(prog="vaeiaf", description="Retrains a VAE/IAF and pushes it if its test-set ELBO allows.")
    commands = root.add_subparsers(required=True, metavar="command")
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            _add(commands, module.name)
    return root


def _add(commands: Any, name: str) -> None:
    try:
        command = importlib.import_module(f"{__name__}.{name}")
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "kubeflow":
            raise
        hidden = commands.add_parser(name, help="not available here: says why", add_help=False, prefix_chars="\0")
        hidden.add_argument("arguments", nargs="*")  # all of them, options too
        hidden.set_defaults(run=_say_hidden)
        return
    added = commands.add_parser(
        name,
        help=command.HELP,
        description=" ".join((command.__doc__ or "").split()),
        epilog=getattr(command, "EPILOG", None),
        example=f"vaeiaf {command.EXAMPLE}",
        guide=getattr(command, "GUIDE", ""),
        allow_abbrev=False,
    )
    command.add_options(added)
    steps = {step: getattr(command, step) for step in ("check", "run", "arrived") if hasattr(command, step)}
    added.set_defaults(command=name, **steps)


def _say_hidden(_: argparse.Namespace) -> int:
    raise no_kubeflow()
