"""Who changes what is served, and why."""

import argparse
import getpass
import os
import socket
from typing import TYPE_CHECKING

from trainer.errors import UserError

if TYPE_CHECKING:
    from pipeline.state.change import Author


def add_author(parser: argparse.ArgumentParser) -> None:
    """Adds the reason and the name for the record."""
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why, for the record")
    parser.add_argument("--who", metavar="NAME", help="for the record (default: your user and host)")


def author_of(options: argparse.Namespace) -> "Author":
    """Returns who and why.

    Raises:
      UserError: the reason or the name is empty.
    """
    from pipeline.state.change import Author

    given = {"reason": options.reason, "who": options.who if options.who is not None else user()}
    for option, text in given.items():
        if not text.strip():
            raise UserError(f"--{option}", value=text, valid="a text")
    return Author(given["who"].strip(), given["reason"].strip())


def user() -> str:
    """Returns who runs this process, such as ada@desk."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
