"""Arrays of bytes on disk that are read by rows, so that a process holds only the rows that it asks for.

A mapped file would do the same, but its pages count as memory of the process, which an error of the disk kills, and
Python waits for each page in turn. Imports no TensorFlow.
"""

import contextlib
import errno
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

import numpy as np

from trainer.errors import StorageError, UnreadableError

Rows = np.ndarray | slice  # numbers of rows, along any axes; a slice has no step


class DiskArray:
    """A uint8 array [N, ...] in an open file; an index of rows reads them.

    Args:
      file: stays open as long as the array.
      shape: of the array.
      start: bytes before the first row.
      where: the file's name in errors.
    """

    def __init__(self, file: IO[bytes], shape: tuple[int, ...], start: int, where: str) -> None:
        self.shape, self._file, self._start, self._where = shape, file, start, where
        self._row_bytes = math.prod(shape[1:])
        self._thread, self._asked = ThreadPoolExecutor(1), Future[None]()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows) -> np.ndarray:
        """Reads [*rows.shape, ...].

        Raises:
          UnreadableError: the file cannot be read, or is too short.
        """
        try:
            if isinstance(rows, slice):
                first, end, _ = rows.indices(len(self))
                shape, data = (max(0, end - first),), self._read(first, max(0, end - first))
            else:
                shape, data = rows.shape, b"".join([self._read(row, 1) for row in rows.ravel().tolist()])
        except OSError as error:
            raise UnreadableError("the images in", self._where, error) from error
        return np.frombuffer(data, np.uint8).reshape(*shape, *self.shape[1:])

    def will_need(self, rows: np.ndarray) -> Future[None]:
        """Asks the system, in another thread, to read `rows`; replaces a request that has not begun."""
        self._asked.cancel()
        self._asked = self._thread.submit(self._ask_for, rows)
        return self._asked

    def _ask_for(self, rows: np.ndarray) -> None:
        if hasattr(os, "posix_fadvise"):  # not on macOS
            for row in rows.ravel().tolist():
                os.posix_fadvise(self._file.fileno(), self._place(row), self._row_bytes, os.POSIX_FADV_WILLNEED)

    def _read(self, row: int, count: int) -> bytes:
        size = count * self._row_bytes
        data = os.pread(self._file.fileno(), size, self._place(row))
        if len(data) < size:
            raise OSError(errno.EIO, "it has become shorter")
        return data

    def _place(self, row: int) -> int:
        return self._start + row * self._row_bytes


class TemporaryArray(DiskArray):
    """A `DiskArray` in a temporary file without a name, which vanishes with the process, however that ends.

    Args:
      shape: of the array.
      what: its name in errors.
      remedy: what a user does if the temporary folder is too small.

    Raises:
      StorageError: the temporary folder has too little space or cannot be written.
    """

    def __init__(self, shape: tuple[int, ...], what: str, remedy: str) -> None:
        folder, size = tempfile.gettempdir(), math.prod(shape)
        self._storing = lambda: _storing(what, folder, remedy)
        with self._storing():
            free = shutil.disk_usage(folder).free
            if size > free:
                raise OSError(errno.ENOSPC, f"it needs {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        super().__init__(file, shape, start=0, where=f"a temporary file in {folder}")

    def __setitem__(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Writes values [N, ...] at rows [N].

        Raises:
          StorageError: they cannot be written.
        """
        with self._storing():
            for row, value in zip(rows.tolist(), values, strict=True):
                if os.pwrite(self._file.fileno(), value.tobytes(), self._place(row)) < self._row_bytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def _storing(what: str, folder: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(what, folder, error, remedy) from error
