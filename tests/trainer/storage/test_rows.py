"""Rows on disk are those of the array in memory; their file leaves no trace, and its disk's errors are failures."""

import errno
import os
import shutil
import tempfile
from collections import namedtuple

import numpy as np
import pytest

from trainer.errors import StorageError, UnreadableError
from trainer.storage.rows import DiskArray, TemporaryArray

ARRAY = np.random.default_rng(0).integers(0, 256, [20, 3, 2], np.uint8)
BYTES = 6  # of a row
INDICES = {
    "rows": np.array([7, 0, 7, 19]),
    "several axes": np.array([[1, 2], [19, 0]]),
    "no rows": np.zeros([0, 5], np.int64),
    "slice": slice(3, 9),
    "slice past the end": slice(15, 30),
    "slice behind the end": slice(30, 40),
}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Makes a temporary array in a folder of this test."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))

    def make():
        array = TemporaryArray(ARRAY.shape, "the images", "Free some space")
        order = np.random.default_rng(1).permutation(len(ARRAY))
        for some in np.split(order, [3, 11]):
            array[some] = ARRAY[some]
        return array

    return make


@pytest.mark.parametrize("rows", INDICES.values(), ids=INDICES)
def test_an_index_reads_what_it_would_of_an_array_in_memory(rows, temporary, tmp_path):
    np.save(tmp_path / "saved.npy", ARRAY)
    with open(tmp_path / "saved.npy", "rb") as file:
        start = os.path.getsize(file.name) - ARRAY.nbytes
        for array in (temporary(), DiskArray(file, ARRAY.shape, start, "")):
            assert len(array) == len(ARRAY)
            np.testing.assert_array_equal(array[rows], ARRAY[rows])
            assert array[rows].shape == ARRAY[rows].shape


def test_a_temporary_array_has_no_name_that_a_killed_process_could_leave(temporary, tmp_path):
    array = temporary()
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(array[np.arange(20)], ARRAY)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="macOS reads nothing ahead")
def test_the_system_is_told_the_places_of_the_rows_that_are_needed_next(temporary, monkeypatch):
    told, array = [], temporary()
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *told_of: told.append(told_of))
    array.will_need(np.array([[4, 0], [9, 9]])).result()
    assert told == [(row * BYTES, BYTES, os.POSIX_FADV_WILLNEED) for row in (4, 0, 9, 9)]


def test_a_file_that_became_shorter_is_unreadable(tmp_path):
    (tmp_path / "short").write_bytes(ARRAY.tobytes()[:-1])
    with open(tmp_path / "short", "rb") as file:
        array = DiskArray(file, ARRAY.shape, 0, "short")
        np.testing.assert_array_equal(array[slice(0, 19)], ARRAY[:19])
        for rows in (np.array([19]), slice(10, 20)):
            with pytest.raises(UnreadableError):
                array[rows]


def test_too_little_space_is_found_before_anything_is_written(temporary, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(free=ARRAY.nbytes))
    temporary()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(free=ARRAY.nbytes - 1))
    with pytest.raises(StorageError) as error:
        temporary()
    assert error.value.failure.value == str(tmp_path)


def test_a_disk_that_others_fill_meanwhile_is_a_storage_error(temporary, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "pwrite", lambda _, data, at: len(data) - 1)
    with pytest.raises(StorageError) as error:
        temporary()
    assert (error.value.failure.value, error.value.failure.cause) == (str(tmp_path), os.strerror(errno.ENOSPC))
