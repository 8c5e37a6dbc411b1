"""What a pod is asked to do, and what it answers, as data."""

import argparse
import base64
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kubeflow.errand.parcel import ARGUMENT, pack, pieces, unpack
from trainer.errors import UserError

MAX_SENT = 700_000  # bytes of files in a request: Kubernetes stores no object above 1.5 MiB
MAX_RETURNED = 6_000_000  # bytes of files in an answer: 8 MB of base64, where a node keeps 10 MB of a log
LOCAL = ("run", "check", "arrived", "errand", "command")  # options that have no meaning in the pod


class Request(NamedTuple):
    """A command with its options, and the content of the files that it reads, by the names that the user gave."""

    command: str
    options: dict[str, Any]  # JSON types
    files: dict[str, bytes]

    @classmethod
    def of(cls, options: argparse.Namespace, images: Iterable[str]) -> "Request":
        """Makes the request of parsed options. Those of the `images` that are files here go along.

        Raises:
          UserError: the files are too large, or cannot be read.
        """
        here = list(filter(os.path.isfile, images))
        if (size := sum(map(os.path.getsize, here))) > MAX_SENT:
            remedy = "Send fewer, or copy them to the volume and name their paths there"
            valid = f"at most {_size(MAX_SENT)}"
            raise UserError("IMAGE files for a pod", value=_size(size), valid=valid, remedy=remedy)
        try:
            files = {name: pathlib.Path(name).read_bytes() for name in here}
        except OSError as error:
            raise UserError("an IMAGE cannot be read", value=error.filename, cause=error) from error
        given = {name: value for name, value in vars(options).items() if name not in LOCAL}
        return cls(options.command, given, files)

    def arguments(self) -> list[str]:
        """Returns the request as arguments of a program."""
        return pieces(pack([self.command, self.options, _encoded(self.files)]), ARGUMENT)

    @classmethod
    def read(cls, arguments: Iterable[str]) -> "Request":
        """Undoes `arguments`."""
        command, options, files = unpack("".join(arguments))
        return cls(command, options, _decoded(files))


class Answer(NamedTuple):
    """What a command did."""

    code: int  # exit code
    out: str
    err: str
    files: dict[str, bytes]  # what it wrote, by paths below the output; the path of a single file is empty

    def text(self) -> str:
        """Returns the answer as a text."""
        return pack([self.code, self.out, self.err, _encoded(self.files)])

    @classmethod
    def read(cls, text: str) -> "Answer":
        """Undoes `text`."""
        code, out, err, files = unpack(text)
        return cls(code, out, err, _decoded(files))


def written(output: str) -> dict[str, bytes]:
    """Returns what is at the path `output`, as an answer has it; nothing if nothing is there.

    Raises:
      UserError: it is too large.
    """
    path = pathlib.Path(output)
    found = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    present = [one for one in found if one.exists()]
    if (size := sum(one.stat().st_size for one in present)) > MAX_RETURNED:
        remedy = "Ask for less, or run the command where the volume is mounted"
        valid = f"at most {_size(MAX_RETURNED)}"
        raise UserError("files that come back from a pod", value=_size(size), valid=valid, remedy=remedy)
    return {"" if one == path else one.relative_to(path).as_posix(): one.read_bytes() for one in present}


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _encoded(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(content).decode() for name, content in files.items()}


def _decoded(files: Mapping[str, str]) -> dict[str, bytes]:
    return {name: base64.b64decode(content) for name, content in files.items()}
