"""The page of the index: a row for each run, links that hold where it is, and a size that stays small."""

import re

from index import REASON, RUN, START, change, entry, nights, series
from pages import Page
from pipeline.index.page import render
from pipeline.index.writing import RUNS


def rows(page):
    """The cells of each row of the runs."""
    found = re.findall(r"<tr>(.*?)</tr>", page[page.index("<h3>Runs</h3>") :], re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in found]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in cells if row]


def test_a_row_has_the_result_with_its_interval_and_reason():
    refused = entry(
        1, drift="brightness", state="refused", reasons=REASON, elbo=-1853.2, standard_error=0.5, version=None
    )
    failed = entry(0, state="failed", node="Trainer", elbo=None, standard_error=None, version=None)
    assert rows(render([series([refused, failed])], START, None)) == [
        ["2026-01-02 03:00", "refused", "-1,853.20", "-1,854.18 to -1,852.22", ""],
        [REASON],
        ["Drift: brightness"],
        ["2026-01-01 03:00", "failed in Trainer", "", "", ""],
    ]


def test_links_are_relative_and_only_to_what_is_there():
    found = Page(render([series([entry(0, report="/root/artifacts/50 %/index.html"), entry(1)])], START, "/root"))
    assert set(found.attributes("a", "href")) == {
        "artifacts/50%20%25/index.html",
        "pushed/vaeiaf-toy/1/assets.extra/model_card.html",
    }
    assert found.fetched == []


def test_a_page_elsewhere_has_no_links():
    assert "a" not in Page(render([series([entry(0, report="/root/report/index.html")])], START, None)).tags


def test_each_month_has_its_runs_and_the_newest_is_open():
    found = Page(render([series([entry(40, state="refused"), entry(39), entry(2)])], START, None))
    assert found.texts("summary") == ["February 2026: 1 refused, 1 pushed", "January 2026: 1 pushed"]
    assert len(found.attributes("details", "open")) == 1


def test_what_is_served_and_who_changed_it_is_said():
    text = " ".join(Page(render([series([entry()], [change()])], START, None)).texts("main"))
    assert "Nothing is served." in text
    assert "rollback to 1767236400, served as 1767240000" in text
    assert "ada: grey samples" in text
    assert "not completed" in render([series([entry()], [change(is_complete=False)])], START, None)


def test_a_pipeline_without_runs_has_no_chart():
    assert "svg" not in Page(render([series([])], START, None)).tags


def test_a_long_reason_is_cut():
    (_, (note,)) = rows(render([series([entry(state="refused", reasons="x" * 5000)])], START, None))
    assert len(note) < 400


def test_a_full_page_is_small_and_says_that_there_are_more():
    page = render([series(nights(RUNS))], START, "/root", has_more=True)
    assert len(page.encode()) < 2_000_000
    assert len([row for row in rows(page) if len(row) > 1]) == RUNS
    assert f"{RUNS:,} runs, the newest" in page
    assert not Page(page).tags & {"script", "link", "img", "iframe"}
    assert "the newest;" not in render([series([entry()])], START, None)


def test_the_marks_of_a_run_say_its_numbers():
    assert "pushed version 1, ELBO -1,850.00 (-1,853.92 to -1,846.08)" in render([series([entry()])], START, None)
    assert RUN.elbo == -1850.0
