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
    parser.add_argument("--who", metavar="NAME", default=_user(), help="for the record (default: %(default)s)")


def author_of(options: argparse.Namespace) -> "Author":
    """Returns who and why.

    Raises:
      UserError: the reason or the name is empty.
    """
    from pipeline.state.change import Author

    for option in ("reason", "who"):
        if not getattr(options, option).strip():
            raise UserError(f"--{option}", value=getattr(options, option), valid="a text")
    return Author(options.who.strip(), options.reason.strip())


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
