"""The account of a run on a page."""

import dataclasses
import re
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from components.pages.account import Account, Change, Examples, Node, Step
from components.pages.lineage import MAIN, SIDE, WIDTH, draw, in_words
from components.pages.rendering import TEMPLATES
from tables import Tables

BEFORE, RUN = "2026-01-01T00:00:00", "2026-01-02T00:00:00"
REASONS = ("setting seed: 1 -> 2", "input base_model: new", "code tensorflow: 1 -> 2", "code <x>: new")
STEPS = (
    Step("Images", ("2 spans", "from <1> to 2")),
    Step("Trainer", ("trained in this run",), Step("Base model", ("version 1795684615",))),
    Step("Model", ("digest 5d9fbc93",)),
    Step("Verdict", ("blessed", "ELBO -2131.16 nats"), Step("Baseline", ("version 1795684615", "x" * 99))),
    Step("Version 1795684633", ("pushed by this run",)),
)
ACCOUNT = Account(
    run=RUN,
    started="2026-01-02 00:00:00 UTC",
    seconds=4000.0,
    nodes=(
        Node("ImageExampleGen, span 1", "reused", 0.1, 0.0, 1, BEFORE, ("unchanged",)),
        Node("Trainer", "made", 75.0, 32.0, 2, BEFORE, REASONS),
        Node("Evaluator", "made", 5.72, 0.5, 1, BEFORE, REASONS[:2]),
        Node("AtomicPusher", "made", 0.1, 0.0, 1, None, ("it runs every time",)),
    ),
    earlier=BEFORE,
    changes=(Change("data", "/<old>", "/new"),),
    data="/photos/{SPAN}",
    examples=(Examples("1", {"train": 1234, "test": 50}, "ab" * 32), Examples("2", {"train": 9, "test": 0}, "")),
    made_with={"Python": "3.11", "machine": "2 CPUs"},
    digests={"model": "5d" * 32},
    lineage=STEPS,
)


def shown(**changes):
    template = TEMPLATES.from_string('{% import "account.html.j2" as parts %}{{ parts.ran(account, settings) }}')
    settings = {"beam_args": [], "beam_nodes": ["A", "B"], "seed": 2, "no_baseline": False, "min_elbo": None}
    return template.render(account=dataclasses.replace(ACCOUNT, **changes), settings=settings)


def test_an_account_survives_its_text():
    assert Account.from_json(ACCOUNT.to_json()) == ACCOUNT


def test_the_nodes_say_what_they_took_what_was_cached_and_why_the_rest_ran():
    page = Tables(shown())
    assert page.rows["nodes"][0] == ["node", "time"]
    assert page.told("nodes", "ImageExampleGen, span 1") == [f"made by the run {BEFORE}", "cached"]
    told = f"attempt 2; after a wait of 32.0 s; 4 reasons since the run {BEFORE}{'; '.join(REASONS)}"
    assert page.told("nodes", "Trainer") == [told, "1:15 min"]
    assert page.told("nodes", "Evaluator") == [f"{'; '.join(REASONS[:2])}, since the run {BEFORE}", "5.7 s"]
    assert page.told("nodes", "AtomicPusher") == ["it runs every time", "0.1 s"]
    text = " ".join(shown().split())
    assert "took 1:06:40 h up to this page. Its 4 nodes took 1:21 min, and 32.5 s passed between them" in text


def test_changed_settings_are_named_with_both_values_and_all_are_listed():
    page = Tables(shown())
    assert page.rows["changes"] == [["data /<old> → /new"]]
    assert page.terms["settings"] == {
        "beam_args": "none",
        "beam_nodes": "A B",
        "min_elbo": "none",
        "no_baseline": "false",
        "seed": "2",
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"changes": ()}, f"No setting changed since the run {BEFORE}."),
        ({"changes": (), "earlier": None}, "This is the first run of the pipeline that recorded its settings"),
    ],
)
def test_a_run_without_changes_says_so(changes, sentence):
    assert sentence in shown(**changes)
    assert "changes" not in Tables(shown(**changes)).rows


def test_images_models_and_origins_are_named_with_their_digests():
    page = Tables(shown())
    assert page.rows["images"] == [[f"span 1: 1,234 train, 50 test {'ab' * 32}"], ["span 2: 9 train, 0 test removed"]]
    assert page.rows["digests"] == [[f"model {'5d' * 32}"]]
    assert page.terms["made-with"] == ACCOUNT.made_with
    assert "<summary>5 spans</summary>" in shown(examples=ACCOUNT.examples[:1] * 5)


def test_the_account_reads_well(tmp_path, faults_of):
    framed = '{% extends "page.html.j2" %}{% block title %}Run{% endblock %}{% block body %}<h1>Run</h1>{{ account }}'
    path = tmp_path / "page.html"
    path.write_text(TEMPLATES.from_string(framed + "{% endblock %}").render(account=Markup(shown())))
    assert faults_of(path) == []


def test_the_lineage_is_told_in_words_too():
    assert in_words(STEPS).startswith(
        "Images (2 spans, from <1> to 2). Trainer (trained in this run), from Images and Base model (version "
        "1795684615). Model (digest 5d9fbc93), from Trainer. "
    )


def test_the_drawing_stays_in_its_frame_and_has_an_arrow_for_each_origin():
    svg = ElementTree.fromstring(str(draw(STEPS)))
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    assert width == WIDTH == SIDE[0] + SIDE[1] > MAIN[0] + MAIN[1]
    boxes = [{name: float(one.attrib[name]) for name in ("x", "y", "width", "height")} for one in svg.iter("rect")]
    assert len(boxes) == 7
    assert len(list(svg.iter("polygon"))) == 6
    for box in boxes:
        assert 0 <= box["x"] < box["x"] + box["width"] <= width
        assert 0 <= box["y"] < box["y"] + box["height"] <= height
    texts = [one.text for one in svg.iter("text")]
    assert "from <1> to 2" in texts
    assert max(map(len, texts)) < 25
    assert not re.search("#[0-9a-f]{3}|black|white", str(draw(STEPS))), "the page has colours for light and dark"
