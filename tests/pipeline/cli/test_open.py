import os
import sys
import webbrowser

import pytest

from state_root import PIPELINE
from trainer import exit_codes


@pytest.fixture
def opened(monkeypatch):
    addresses = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    return addresses


@pytest.fixture
def pages(three):
    """The pages of the three runs, oldest first."""
    folders = sorted(three.root.glob(f"artifacts/{PIPELINE}/Report/report/*/"), key=lambda path: int(path.name))
    return [str(folder / "index.html") for folder in folders]


def test_the_page_of_the_last_report_is_printed_and_opened_where_there_is_a_desktop(
    pages, three, vaeiaf, opened, monkeypatch
):
    three.run("d", fails="Trainer")
    assert vaeiaf("open") == (exit_codes.DONE, f"{pages[-1]}\n", "")
    assert opened == []
    monkeypatch.setattr("pipeline.cli.open._has_desktop", lambda: True)
    assert vaeiaf("open")[1] == f"{pages[-1]}\n"
    assert opened == [f"file://{pages[-1]}"]


def test_a_run_can_be_named(pages, three, facts, opened):
    *_, first = (run["run"] for run in facts("status")["runs"])
    assert facts("open", "--run", first) == {"run": first, "path": pages[0]}


def test_a_report_that_was_pruned_is_said_to_be(pages, three, vaeiaf, facts):
    *_, first = (run["run"] for run in facts("status")["runs"])
    vaeiaf("prune", "--keep=1")
    code, _, err = vaeiaf("open", "--run", first)
    assert (code, err) == (
        exit_codes.BAD_INPUT,
        f"vaeiaf: there is no report of run {first}. It ended early, or prune removed it; vaeiaf status lists the "
        "runs\n",
    )


@pytest.mark.parametrize(
    ("display", "is_terminal", "is_desktop"), [(":0", True, True), (":0", False, False), ("", True, False)]
)
def test_a_desktop_is_a_terminal_with_a_display(monkeypatch, display, is_terminal, is_desktop):
    from pipeline.cli.open import _has_desktop

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setitem(os.environ, "DISPLAY", display)
    assert _has_desktop() == is_desktop
