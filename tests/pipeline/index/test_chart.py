"""The chart shows every run and every change once where it belongs, whatever their number and their values."""

import math
import re

import pytest

from index import START, change, entry, nights, series
from pages import Page
from pipeline.index.chart import SHAPES, Event, Point, Scale, draw, scale_of
from pipeline.index.page import render


def point(night=0, elbo=-10.0, kind="pushed", half=1.0, drifted=False):
    return Point(kind, START.replace(day=1 + night), elbo, half, drifted, f"{kind} of night {night}")


def marks(html):
    """The marks as (words, x in percent, y in pixels)."""
    found = re.findall(r'<svg x="([-\d.]+)%" y="([-\d.]+)"[^>]*><title>(.*?)</title>', html)
    return [(words, float(x), float(y)) for x, y, words in found]


def test_each_run_has_a_mark_at_its_elbo_and_one_in_the_lane_of_its_result():
    points = [point(0, -12.0), point(1, -11.0, "refused"), point(2, None, "failed"), point(3, -10.0, drifted=True)]
    found = marks(draw(points, [], "alt"))
    of = {words: sorted((x, y) for name, x, y in found if name == words) for words, *_ in found}
    assert {words: len(places) for words, places in of.items()} == {
        "pushed of night 0": 2,
        "refused of night 1": 2,
        "failed of night 2": 1,
        "pushed of night 3": 3,  # its drift has a lane too
    }
    assert {words: {x for x, _ in places} for words, places in of.items()} == {
        point.words: {12.5 + 25.0 * night} for night, point in enumerate(points)
    }
    plotted = {words: min(y for _, y in places) for words, places in of.items()}
    assert plotted["pushed of night 0"] > plotted["refused of night 1"] > plotted["pushed of night 3"]


def test_a_change_stands_between_the_runs_before_and_after_it():
    points = [point(night) for night in range(4)]
    events = [Event(kind, START.replace(day=2, hour=9), kind) for kind in ("rollback", "withdrawal")]
    assert {(words, x) for words, x, _ in marks(draw(points, events, "alt")) if words in SHAPES} == {
        ("rollback", 50.0),
        ("withdrawal", 50.0),
    }


def test_the_shapes_differ_not_only_in_colour():
    assert len(set(SHAPES.values())) == len(SHAPES)


def test_a_run_that_diverged_is_an_arrow_at_the_edge_and_presses_no_other_together():
    usual = [point(night, -10.0 - night) for night in range(3)]
    scale = scale_of([*usual, point(3, -1e6, "refused")])
    assert scale.low > -20.0
    assert all(scale.holds(one.elbo) for one in usual)
    assert "beyond the scale" in draw([*usual, point(3, -1e6, "refused")], [], "alt")
    assert "beyond the scale" not in draw(usual, [], "alt")


@pytest.mark.parametrize("elbos", [[None], [0.0], [-1850.0], [-1850.0, -1850.0], [-1e-9, 1e-9], [-1e9, 5.0, None]])
def test_a_scale_holds_what_was_pushed_and_has_ticks(elbos):
    scale = scale_of([point(i, elbo, "pushed" if elbo is not None else "failed", 0.0) for i, elbo in enumerate(elbos)])
    assert all(scale.holds(elbo) for elbo in elbos if elbo is not None)
    ticks = scale.ticks()
    assert 3 <= len(ticks) <= 12
    assert all(scale.holds(tick) for tick in ticks)
    assert all(math.isfinite(scale.y(tick)) for tick in ticks)


def test_higher_is_better_is_higher():
    scale = Scale(-20.0, -10.0)
    assert scale.y(-10.0) < scale.y(-15.0) < scale.y(-20.0) == scale.y(-1e9)


def test_names_in_the_chart_are_text():
    page = render([series([entry()], [change(who="<script>", reason="<img src=x>", version=1)])], START, None)
    assert not Page(page).tags & {"script", "img"}


@pytest.mark.parametrize("count", [1, 2, 40, 1000])
def test_it_stays_legible_with_one_run_and_with_a_thousand(count, tmp_path, faults_of):
    changes = [change(count * 0.6, "withdrawal"), change(count * 0.5)]
    page = render([series(nights(count), changes)], START, "/root")
    (tmp_path / "index.html").write_text(page)
    assert faults_of(tmp_path / "index.html") == []
