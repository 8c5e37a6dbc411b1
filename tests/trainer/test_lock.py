"""One process at a time has a folder, if the disk can tell them apart."""

import errno
import fcntl

import pytest

from trainer.lock import BusyError, alone


def test_whoever_is_alone_in_a_folder_keeps_others_out_until_the_end(tmp_path):
    folder = str(tmp_path)
    with alone(folder, "training", "--output"), pytest.raises(BusyError) as error, alone(folder, "run", "--root"):
        pass
    assert str(error.value) == f"another run is at work in {folder}: wait for its end, or choose another --root"
    assert error.value.exit_code == 1, "a scheduler may try again: the other one may end"
    with alone(folder, "training", "--output"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EIO])
def test_a_disk_without_locks_is_used_with_a_warning(number, tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with alone(str(tmp_path), "run", "--root"):
        pass
    (record,) = caplog.records
    assert record.getMessage() == f"{tmp_path} cannot be locked (No locks available): let no other run use it"


def test_a_folder_that_cannot_be_written_is_the_callers_to_explain(tmp_path):
    with pytest.raises(FileNotFoundError), alone(str(tmp_path / "none"), "run", "--root"):
        pass
