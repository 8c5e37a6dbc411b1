"""Counts what Beam's in-process runner keeps in memory between the stages of a pipeline."""

import contextlib
from collections.abc import Iterator
from unittest import mock

from apache_beam.runners.portability.fn_api_runner.execution import GroupingBuffer, ListBuffer


@contextlib.contextmanager
def bytes_between_stages() -> Iterator[list[int]]:
    """Yields a list of the sizes, in bytes, of all that crosses from one stage to another."""
    sizes = list[int]()
    with contextlib.ExitStack() as patches:
        for buffer in (ListBuffer, GroupingBuffer):
            patches.enter_context(mock.patch.object(buffer, "append", _noting(buffer.append, sizes)))
        yield sizes


def _noting(append, sizes):
    def noting(buffer, encoded):
        sizes.append(len(encoded))
        append(buffer, encoded)

    return noting
