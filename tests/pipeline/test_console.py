import errno
import io
import logging
import os
import subprocess
import sys

import pytest

from pipeline.console import Story, console


@pytest.fixture
def story():
    return Story(io.StringIO())


def tell(story, name, message, *arguments):
    story.handle(logging.LogRecord(name, logging.INFO, "", 0, message, arguments, None))


def test_a_component_has_one_line_with_its_seconds(story):
    story.starts("Transform")
    story.ends(cached=False)
    (line,) = story._stream.getvalue().splitlines()
    assert line.split()[0] == "Transform"
    assert line.endswith(" s")


def test_a_cached_component_says_so(story):
    story.starts("Trainer")
    story.ends(cached=True)
    assert story._stream.getvalue().split() == ["Trainer", "cached"]


def test_what_the_project_logs_stands_inside_its_component(story):
    story.starts("Trainer")
    tell(story, "trainer.training.loop", "epoch %d", 1)
    story.ends(cached=False)
    lines = story._stream.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["Trainer", "epoch", "Trainer"]
    assert lines[1].startswith("  epoch 1")


def test_native_output_goes_to_the_log_file_and_the_console_stays_clean(tmp_path, capfd):
    log = tmp_path / "log"
    with console(str(log)) as story:
        os.write(1, b"noise on 1\n")
        os.write(2, b"noise on 2\n")
        story.say("story")
        logging.getLogger("trainer.training.loop").info("epoch 1")
    os.write(1, b"after\n")
    captured = capfd.readouterr()
    assert captured.out.split() == ["story", "epoch", "1", "after"]
    assert captured.err == ""
    logged = log.read_text()
    assert logged.startswith("noise on 1\nnoise on 2\n")
    assert "epoch 1" in logged  # the log has the whole story too


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_log_on_a_full_disk_does_not_stop_the_run(capfd):
    with console("/dev/full") as story:
        print("to the log")
        logging.getLogger("trainer.training.loop").info("epoch 1")
        story.say("the end")
    captured = capfd.readouterr()
    assert captured.out.splitlines() == ["  epoch 1", "the end"]
    assert captured.err == ""


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.EIO, "Input/output error"), BlockingIOError()])
def test_a_reader_or_terminal_that_disappears_does_not_stop_the_run(error):
    class Closed(io.StringIO):
        def write(self, text):
            raise error

    story = Story(Closed())
    tell(story, "trainer.training.loop", "epoch 1")
    story.say("the end")


def test_a_terminal_that_is_closed_loses_the_story_only(tmp_path):
    """On a real terminal, whose other end is closed between two lines."""
    master, terminal = os.openpty()
    standard = os.dup(1)
    os.dup2(terminal, 1)
    try:
        with console(str(tmp_path / "log")) as story:
            story.say("before")
            assert os.read(master, 100) == b"before\r\n"
            os.close(master)
            story.say("after")
            logging.getLogger("trainer.training.loop").info("epoch 1")
    finally:
        os.dup2(standard, 1)
        os.close(standard)
        os.close(terminal)
    assert "epoch 1" in (tmp_path / "log").read_text()


def test_an_error_of_the_run_is_not_taken_for_one_of_its_console(tmp_path, capfd):
    with pytest.raises(BrokenPipeError), console(str(tmp_path / "log")):
        raise BrokenPipeError


def test_a_process_without_standard_output_has_its_log(tmp_path):
    code = "import sys; from pipeline.console import console\nwith console(sys.argv[1]) as story: print('to the log')"
    command = ["sh", "-c", 'exec "$0" -c "$1" "$2" >&- 2>&-', sys.executable, code, str(tmp_path / "log")]
    assert subprocess.run(command).returncode == 0
    assert (tmp_path / "log").read_text() == "to the log\n"
