"""Reads an array of NumPy row by row: mapped into memory, or as a stream if it is compressed."""

import contextlib
import os
import struct
import zipfile
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np

from components.ingest.records import BATCH
from trainer.errors import UserError

LENGTHS = 26  # offset, in the header of a zip file's member, of the lengths of the two texts that end it
DAMAGE = (ValueError, EOFError, zipfile.BadZipFile, zipfile.zlib.error)  # type: ignore[attr-defined]


class Array(NamedTuple):
    """An array in a file."""

    path: str
    name: str = ""  # in an .npz file

    def __str__(self) -> str:
        return f"{self.path}, array {self.name}" if self.name else self.path


class Header(NamedTuple):
    """What an array's file says before its values."""

    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype


def names_in(path: str) -> list[str]:
    """Returns the names of the arrays in an .npz file.

    Raises:
      UserError: the file is damaged.
    """
    with _damage_of(path), zipfile.ZipFile(path) as archive:
        return [member.removesuffix(".npy") for member in archive.namelist()]


def header(array: Array) -> Header:
    """Returns the header of an array.

    Raises:
      UserError: the file is damaged.
    """
    with _damage_of(array.path), _opened(array) as file:
        return _header(file)


def mapped(array: Array) -> np.ndarray | None:
    """Maps an array into memory; None if it is compressed.

    Raises:
      UserError: the file is damaged.
    """
    with _damage_of(array.path):
        if not array.name:
            return np.load(array.path, mmap_mode="r", allow_pickle=False)
        with zipfile.ZipFile(array.path) as archive, open(array.path, "rb") as file:
            info = archive.getinfo(f"{array.name}.npy")
            if info.compress_type != zipfile.ZIP_STORED:
                return None
            file.seek(info.header_offset + LENGTHS)
            file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
            found = _header(file)
            return np.memmap(array.path, found.dtype, "r", file.tell(), found.shape)


def rows_of(array: Array, first: int, count: int) -> Iterator[np.ndarray]:
    """Yields `count` rows of an array in batches, from row `first`, which is 0 if the array is compressed.

    Raises:
      UserError: the file is damaged.
    """
    found = mapped(array)
    if found is not None:
        for start in range(first, first + count, BATCH):
            yield np.array(found[start : min(start + BATCH, first + count)])
        return
    with _damage_of(array.path), _opened(array) as file:
        shape, _, dtype = _header(file)
        size = dtype.itemsize * int(np.prod(shape[1:]))
        for start in range(0, count, BATCH):
            rows = min(BATCH, count - start)
            yield np.frombuffer(file.read(rows * size), dtype).reshape(rows, *shape[1:])


def _opened(array: Array) -> IO[bytes]:
    return zipfile.ZipFile(array.path).open(f"{array.name}.npy") if array.name else open(array.path, "rb")


def _header(file: IO[bytes]) -> Header:
    first = np.lib.format.read_magic(file) == (1, 0)
    return Header(*(np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0)(file))


@contextlib.contextmanager
def _damage_of(path: str) -> Iterator[None]:
    """Turns the errors of NumPy and zipfile for damage into a UserError."""
    try:
        yield
    except DAMAGE as error:
        raise UserError(f"{path} is damaged", value=path, remedy="Write the file again", cause=error) from error
