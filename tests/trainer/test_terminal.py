"""A program whose output disappears continues, and ends with its own exit code."""

import contextlib
import io
import os
import subprocess
import sys

import pytest

from trainer.terminal import lasting_streams, lossy_text

PROGRAM = """
import sys
from trainer.terminal import lasting_streams
with lasting_streams():
    for _ in range(3):
        print("line")
        print("error", file=sys.stderr)
sys.exit(3)
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_what_cannot_be_written_changes_no_exit_code():
    with open("/dev/full", "w") as full:
        assert subprocess.run([sys.executable, "-c", PROGRAM], stdout=full, stderr=full).returncode == 3


def test_a_pipe_without_a_reader_changes_no_exit_code():
    read, write = os.pipe()
    os.close(read)
    assert subprocess.run([sys.executable, "-c", PROGRAM], stdout=write, stderr=write).returncode == 3
    os.close(write)


def test_a_full_pipe_that_does_not_block_changes_no_exit_code():
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 65536)
    assert subprocess.run([sys.executable, "-c", PROGRAM], stdout=write, stderr=write).returncode == 3
    os.close(read)
    os.close(write)


def test_a_closed_terminal_changes_no_exit_code():
    master, terminal = os.openpty()
    os.close(master)
    assert subprocess.run([sys.executable, "-c", PROGRAM], stdout=terminal, stderr=terminal).returncode == 3
    os.close(terminal)


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-"])
def test_a_process_without_a_stream_has_its_own_exit_code(closing):
    command = ["sh", "-c", f'exec "$0" -c "$1" {closing}', sys.executable, PROGRAM]
    assert subprocess.run(command, capture_output=True).returncode == 3


def test_what_can_be_written_is_and_the_streams_come_back(capfd):
    before = sys.stdout, sys.stderr
    with lasting_streams():
        print("to the one")
        print("to the other", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert capfd.readouterr() == ("to the one\n", "to the other\n")


def test_a_stream_without_a_file_stays(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with lasting_streams():
        print("line")
    assert stream.getvalue() == "line\n"


def test_what_an_encoding_has_not_is_escaped(tmp_path):
    with lossy_text(str(tmp_path / "log"), "a", "ascii") as log:
        log.write("Größe\n")
    assert (tmp_path / "log").read_bytes() == b"Gr\\xf6\\xdfe\n"
