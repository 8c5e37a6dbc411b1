"""report --series: what the page of a state directory says and links to."""

import contextlib
import shutil
import sqlite3
import time
from unittest import mock

import pytest

from pages import Page
from pipeline.cli.run import _show_failed
from pipeline.index import writing
from pipeline.state.executions import METADATA
from trainer import exit_codes


@pytest.fixture
def page(state, vaeiaf):
    """Writes the page and parses it."""

    def write(*arguments, name="index.html"):
        code, out, err = vaeiaf("report", "--series", *arguments)
        assert (code, out, err) == (exit_codes.DONE, f"{state.root / name}\n", "")
        return Page((state.root / name).read_text())

    return write


def text(page):
    return " ".join(page.texts("main"))


def test_every_link_leads_to_a_page_also_in_a_copy(three, page, tmp_path):
    three.run("worse", elbo=-99.0, refused="too low")
    three.run("broken", fails="Trainer")
    links = page().attributes("a", "href")
    shutil.copytree(three.root, tmp_path / "copy")
    assert sum("/Report/report/" in link for link in links) == 4
    assert len({link for link in links if link.endswith("model_card.html")}) == 3
    assert all((tmp_path / "copy" / link).is_file() for link in links)


def test_runs_changes_and_what_is_served_are_on_the_page(three, vaeiaf, page):
    three.run("worse", elbo=-99.0, refused="too low")
    vaeiaf("rollback", "--reason", "grey samples", "--who", "ada")
    found = text(page())
    *_, served = three.versions()
    assert f"Served now: version {served}, which restores {three.versions()[1]}. Test-set ELBO -11.00 nats" in found
    assert "3 pushed, 1 refused" in found
    assert "too low" in found
    assert f"rollback to {three.versions()[1]}, served as {served}" in found
    assert "ada: grey samples" in found


@pytest.mark.parametrize("command", ["rollback", "withdraw"])
def test_a_change_of_what_is_served_is_on_the_page_at_once(command, three, vaeiaf):
    _, b, c = three.versions()
    code, _, err = vaeiaf(command, *([c] if command == "withdraw" else []), "--reason", "grey samples", "--who", "ada")
    assert (code, err) == (exit_codes.DONE, "")
    found = text(Page((three.root / "index.html").read_text()))
    assert f"Served now: version {three.versions()[-1]}, which restores {b}." in found


def test_a_rollback_whose_page_cannot_be_written_says_so_and_is_done(three, vaeiaf, monkeypatch):
    monkeypatch.setattr(writing, "write_durably", mock.Mock(side_effect=OSError(28, "No space left on device")))
    code, out, err = vaeiaf("rollback", "--reason", "grey samples", "--who", "ada")
    assert code == exit_codes.DONE
    assert f"serves version {three.versions()[-1]}" in out
    assert err.startswith("The page of all runs is as old as before: ")
    assert err.count("\n") == 1


def test_drift_of_a_runs_data_is_marked(three, page):
    three.compare_data(three.run("d"), "the data differ from the served ones in brightness")
    three.compare_data(three.run("e"), "")
    found = page()
    assert "Drift: the data differ from the served ones in brightness" in text(found)
    assert "1 with drift" in text(found)
    assert "drift 1" in found.texts("text")


def test_a_pruned_run_keeps_its_row_without_a_link(three, vaeiaf, page):
    before = page()
    assert vaeiaf("prune", "--keep", "1")[0] == exit_codes.DONE
    after = page()
    assert text(after).count("-12.00") == text(before).count("-12.00") > 0
    assert len(after.attributes("a", "href")) < len(before.attributes("a", "href"))
    assert all((three.root / link).is_file() for link in after.attributes("a", "href"))


def test_damage_of_what_is_served_is_said(three, page):
    (three.pushed / str(three.versions()[-1]) / "file").write_text("else")
    assert "It is damaged:" in text(page())


def test_one_pipeline_of_several_has_a_page_of_its_own(three, page):
    name = three.pipeline
    three.pipeline = "vaeiaf-other"
    three.pushed = three.pushed.with_name("vaeiaf-other")
    three.run("x", elbo=-77.0)
    assert page().texts("h2") == ["vaeiaf-other", name]
    assert page("--pipeline", name, name=f"index-{name}.html").texts("h2") == [name]


def test_the_page_says_if_older_runs_are_left_out(three, page, monkeypatch):
    assert "3 runs." in text(page())
    monkeypatch.setattr(writing, "RUNS", 2)
    assert "2 runs, the newest" in text(page())


def test_json_has_the_facts_and_the_path(three, facts):
    found = facts("report", "--series")
    assert found["path"] == str(three.root / "index.html")
    (series,) = found["series"]
    assert [entry["run"]["elbo"] for entry in series["entries"]] == [-10.0, -11.0, -12.0]
    assert series["served"]["version"] == three.versions()[-1]


def test_a_disk_that_is_full_leaves_the_older_page(three, vaeiaf, page, monkeypatch):
    page()
    before = (three.root / "index.html").read_bytes()

    def fill_the_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_durably", fill_the_disk)
    code, out, _ = vaeiaf("report", "--series")
    assert (code, out) == (exit_codes.FAILED, "")
    assert (three.root / "index.html").read_bytes() == before


def test_a_run_that_ends_writes_the_page_or_says_why_not(three, monkeypatch):
    said = []
    writing.refresh(str(three.root), lambda: three.store, said.append)
    assert "3 pushed" in text(Page((three.root / "index.html").read_text()))
    monkeypatch.setattr(writing, "write_durably", mock.Mock(side_effect=OSError(28, "No space left on device")))
    assert said == []
    writing.refresh(str(three.root), lambda: three.store, said.append)
    (line,) = said
    assert line.startswith("The page of all runs is as old as before: ")
    assert str(three.root / "index.html") in line


def test_after_a_failure_nobody_waits_for_the_database_once_more(three, monkeypatch):
    page = three.root / "index.html"
    config = mock.Mock(root=str(three.root))
    monkeypatch.setattr(time, "sleep", mock.Mock(side_effect=AssertionError("it waits")))
    with contextlib.closing(sqlite3.connect(three.root / METADATA)) as other:
        other.execute("BEGIN EXCLUSIVE")
        _show_failed(config)
        assert not page.exists()
        other.rollback()
    _show_failed(config)
    assert "3 pushed" in text(Page(page.read_text()))
    (three.root / METADATA).unlink()
    _show_failed(config)


def test_a_page_elsewhere_has_the_numbers_and_no_links(three, vaeiaf, tmp_path):
    there = tmp_path / "runs.html"
    assert vaeiaf("report", "--series", f"--output={there}") == (exit_codes.DONE, f"{there}\n", "")
    found = Page(there.read_text())
    assert "-12.00" in text(found)
    assert found.attributes("a", "href") == []
    assert not (three.root / "index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "report needs a subject. Add --series; vaeiaf open shows the report of one run"),
        (
            ("--series", "--output", "x.png"),
            "--output: expected the name of a file that ends with .html, got 'x.png'",
        ),
        (("--series", "--pipeline", "x"), "--pipeline: expected one of vaeiaf-toy, got 'x'"),
    ],
)
def test_the_wording_of_mistakes(three, vaeiaf, arguments, sentence):
    assert vaeiaf("report", *arguments) == (exit_codes.BAD_INPUT, "", f"vaeiaf: {sentence}\n")
