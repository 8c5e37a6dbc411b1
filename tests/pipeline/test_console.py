import io
import logging
import os

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
    tell(story, "trainer.loop", "epoch %d", 1)
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
        logging.getLogger("trainer.loop").info("epoch 1")
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
        logging.getLogger("trainer.loop").info("epoch 1")
        story.say("the end")
    captured = capfd.readouterr()
    assert captured.out.splitlines() == ["  epoch 1", "the end"]
    assert captured.err == ""


def test_a_reader_that_leaves_does_not_stop_the_run():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    story = Story(Closed())
    tell(story, "trainer.loop", "epoch 1")
    story.say("the end")
