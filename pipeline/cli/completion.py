"""Prints the script with which a shell completes commands, options and their values."""

import argparse
from collections.abc import Iterator

from trainer.exit_codes import DONE

HELP = "print the completion of commands and options for a shell"
EXAMPLE = "completion bash > ~/.local/share/bash-completion/completions/vaeiaf"
GUIDE = "howto/completion.md"
EPILOG = "zsh reads the script from a file named _vaeiaf in a folder of its fpath."
SHELLS = ("bash", "zsh")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the shell."""
    parser.add_argument("shell", choices=SHELLS, help="for which the script is")


def run(options: argparse.Namespace) -> int:
    """Prints the script."""
    import shtab

    from pipeline.cli import parser

    root = parser()
    kinds = {"FOLDER": shtab.DIRECTORY, "FILE": shtab.FILE, "IMAGE": shtab.FILE}
    for action in _actions(root):
        kind = str(action.metavar).partition(".")[0]  # FILE.png is a file too
        if kind in kinds:
            action.complete = kinds[kind]  # type: ignore[attr-defined]
    print(shtab.complete(root, options.shell))
    return DONE


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yields the options and arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
