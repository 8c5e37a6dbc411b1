"""The command line, `vaeiaf`: each module here, unless its name starts with an underscore, is one command.

A command's module has HELP, a line; EXAMPLE, a command line; `add_options(parser)`; and `run(options)`, which returns
the exit code. Its docstring is the description, EPILOG what stands below the options. Nothing imports TensorFlow or TFX
before it runs.
"""

import argparse
import importlib
import os
import pkgutil
import sys
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
        try:
            given = sys.argv[1:] if arguments is None else arguments
            options = parser().parse_args(given)
            if getattr(options, "errand", None):
                return run_errand_of(options, given)
            return options.run(options)
        except ReportedError as error:
            print(f"vaeiaf: {error}", file=sys.stderr)
            return error.exit_code


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
        allow_abbrev=False,
    )
    command.add_options(added)
    added.set_defaults(run=command.run)


def _say_hidden(_: argparse.Namespace) -> int:
    raise no_kubeflow()
