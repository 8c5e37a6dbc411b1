"""argparse in the house style: a mistake is one sentence with the nearest valid name, and help has an example."""

import argparse
from collections.abc import Sequence
from typing import Any

from trainer.errors import UserError
from trainer.schema import nearest

KINDS = {int: "a whole number", float: "a number"}  # in words, for types whose name is none


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UserErrors.

    Args:
      example: a command line, shown below the help.
      guide: a page of the documents, below `docs`, shown before that.
    """

    def __init__(self, *arguments: Any, example: str = "", guide: str = "", **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.example, self.guide = example, guide

    def format_help(self) -> str:
        """Returns the help with the guide and the example below it."""
        guide = f"\nguide:\n  docs/{self.guide}\n" if self.guide else ""
        return super().format_help() + guide + (f"\nexample:\n  {self.example}\n" if self.example else "")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses all arguments.

        Raises:
          UserError: one of them is unknown; argparse leaves that to its caller.
        """
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            what = "option" if name.startswith("-") else "argument"
            remedy = nearest(name, self._option_string_actions) or f"See {self.prog} --help"
            command = self.prog.partition(" ")[2] or self.prog
            raise UserError(f"{command} has no {what} {name}", value=name, remedy=remedy)
        return found, unknown

    def error(self, message: str) -> Any:
        """Raises a mistake for which argparse has a sentence.

        Raises:
          UserError: always.
        """
        raise UserError(message, remedy=f"See {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise _invalid(action, value, f"one of {', '.join(map(str, action.choices))}", action.choices)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            if action.type not in KINDS:
                raise
            raise _invalid(action, arg_string, KINDS[action.type]) from error


def _invalid(action: argparse.Action, value: Any, valid: str, names: Sequence[Any] | Any = ()) -> UserError:
    name = (action.option_strings or [str(action.metavar or action.dest)])[-1]
    return UserError(name, value=value, valid=valid, remedy=nearest(str(value), map(str, names)))
