"""What the commands share that load models: options, a quiet terminal, and checks of what they will write."""

import argparse
import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator, Sequence

from pipeline.cli._options import root_of
from pipeline.console import console
from pipeline.failures import failure_of
from trainer.errors import ReportedError, UserError
from trainer.failure import Kind
from trainer.interrupt import interruptible

WRITTEN = "Exit codes: 0 written, 1 a disk or a damaged model, 2 bad input, 130 and 143 stopped by SIGINT and SIGTERM."
MODEL = "path of an exported SavedModel, a version in --root such as 1795649102, or served, the newest version"


def add_model(parser: argparse.ArgumentParser, name: str = "model", which: str = "") -> None:
    """Adds the argument that names a model."""
    parser.add_argument(name, metavar=name.upper(), help=f"{which}{MODEL}")


def add_images(parser: argparse.ArgumentParser) -> None:
    """Adds the image files, and whether to fit them."""
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a PNG, JPEG, WebP or BMP file")
    parser.add_argument("--fit", action="store_true", help="crop and resize images of another shape than the model's")


def path_of(options: argparse.Namespace, name: str = "model") -> str:
    """Returns the path of the model that the argument `name` names.

    Raises:
      UserError: there is no such model.
      ReportedError: it is damaged.
    """
    from pipeline.models import find_model

    return find_model(getattr(options, name), root_of(options))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Shows only what this project logs, on standard error.

    Raises:
      InterruptError: a signal arrived.
      ReportedError: the disk is full or withholds a file, whoever noticed it.
    """
    with _in_a_sentence(), contextlib.ExitStack() as stack:
        log = stack.enter_context(tempfile.NamedTemporaryFile(prefix="vaeiaf-", suffix=".log"))
        stack.enter_context(interruptible())
        stack.enter_context(console(log.name, descriptor=2))
        yield


@contextlib.contextmanager
def _in_a_sentence() -> Iterator[None]:
    """Turns what libraries raise for a signal or a disk into a ReportedError, with what was kept."""
    try:
        yield
    except Exception as error:
        failure = failure_of(error, tempfile.gettempdir())
        if failure.kind == Kind.STOPPED:
            raise ReportedError.of(dataclasses.replace(failure, remedy="Nothing was written")) from error
        if failure.kind == Kind.BUG or isinstance(error, ReportedError):
            raise
        remedy = "Start again when that is mended; nothing half-written was left"
        raise ReportedError.of(dataclasses.replace(failure, remedy=remedy)) from error


def checked_file(path: str, suffixes: Sequence[str]) -> str:
    """Returns `path`, of a file to write.

    Raises:
      UserError: it has none of `suffixes`, or is a folder.
    """
    if not path.lower().endswith(tuple(suffixes)) or os.path.isdir(path):
        raise UserError("--output", value=path, valid=f"the name of a file that ends with {' or '.join(suffixes)}")
    return os.path.abspath(path)


def checked_folder(path: str) -> str:
    """Returns `path`, of a folder to write.

    Raises:
      UserError: something is there, which would be replaced.
    """
    if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise UserError("--output", value=path, valid="a new or empty folder", remedy="Choose another, or remove it")
    return os.path.abspath(path)
