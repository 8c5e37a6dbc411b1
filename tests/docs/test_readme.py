"""README is short, its links lead somewhere, and its sentences are those that the code says."""

import re

import pytest
from documents import PAGES, README, REPOSITORY
from tensorflow_model_analysis.proto import validation_result_pb2

from components.gate.pusher import Push
from components.gate.verdict import Verdict, _reason
from pipeline.outcome import Outcome
from pipeline.words import describe

TEXT = README.read_text()
REFUSAL = (REPOSITORY / "docs" / "tutorial" / "first-refusal.md").read_text()
NUMBERS = {"elbo": -1172.24, "elbo_standard_error": 13.72, "images": 1000, "independent_pixels": -2018.56}
VERSION = "/home/me/vaeiaf/vaeiaf/pushed/vaeiaf-photo-patches/1795730335"


def failure(metric, **threshold):
    """TFMA's record of a threshold that was missed."""
    return validation_result_pb2.ValidationFailure(metric_key={"name": metric}, metric_threshold=threshold)


def ends(verdict, push, trained=True):
    """The lines with which such a run ends, without the report's."""
    return describe(Outcome(verdict, push, "", trained)).splitlines()[:-1]


def test_it_has_at_most_700_words():
    assert len(re.findall(r"\S*\w\S*", TEXT)) <= 700


def test_it_has_a_picture_of_the_flow_and_the_screenshot():
    screenshot = REPOSITORY / "docs" / "assets" / "report.png"
    assert {"docs/assets/flow-wide.svg", "docs/assets/flow-narrow.svg", "docs/assets/report.png"} <= set(links(TEXT))
    assert screenshot.read_bytes().startswith(b"\x89PNG")
    assert screenshot.stat().st_size < 250_000


def links(text):
    """Targets of links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)


@pytest.mark.parametrize("link", sorted({link for link in links(TEXT) if not link.startswith("http")}))
def test_a_link_leads_to_a_file(link):
    assert (REPOSITORY / link).is_file()


def test_it_leads_to_the_documents():
    linked = {link for link in links(TEXT) if link.startswith("docs/") and link.endswith(".md")}
    assert len(linked) > len(PAGES) / 2


def test_a_push_is_what_the_code_says():
    lines = ends(Verdict(True, NUMBERS, None, {}, [], []), Push(pushed_to=VERSION))
    assert len(lines) == 2
    assert [line for line in lines if line not in TEXT] == []


def test_an_unchanged_model_is_what_the_code_says():
    lines = ends(Verdict(True, NUMBERS, None, {}, [], []), Push(unchanged=VERSION), trained=False)
    assert lines[-1] in TEXT


def test_a_refusal_by_a_bound_is_what_the_code_says():
    found = failure("elbo", value_threshold={"lower_bound": {"value": -1000.0}})
    lines = ends(Verdict(False, NUMBERS, None, {}, [_reason(found, None, NUMBERS, {}, None)], []), Push())
    assert lines[-1] in TEXT
    assert lines[-1] in REFUSAL


def test_a_refusal_by_the_baseline_is_what_the_code_says():
    gain = {"elbo_gain": -90.77, "elbo_gain_lower": -95.39, "elbo_gain_upper": -86.15}
    numbers = {**NUMBERS, "elbo": -1263.01, **gain}
    found = failure("elbo_gain_lower", change_threshold={"absolute": {"value": -1.0}})
    lines = ends(Verdict(False, numbers, NUMBERS, {}, [_reason(found, None, numbers, {}, NUMBERS)], []), Push())
    assert lines[-1] in REFUSAL
