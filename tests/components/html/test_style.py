"""Colours of the pages have the contrast that WCAG 2.2 asks for, in both schemes; charts use them too."""

import re

import pytest

from components.html.templates import FOLDER

CSS = (FOLDER / "page.css").read_text()
TEXTS, MARKS, GROUNDS = ("ink", "muted", "good", "bad", "accent"), ("second", "third", "other"), ("paper", "panel")


def variables(css):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css))


LIGHT = variables(CSS[: CSS.index("@media")])
DARK = variables(CSS[CSS.index("@media") : CSS.index("body {")])


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_largest_contrast():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_and_marks_stand_out(scheme):
    for ground in GROUNDS:
        assert {text for text in TEXTS if contrast(scheme[text], scheme[ground]) < 4.5} == set()
        assert {mark for mark in MARKS if contrast(scheme[mark], scheme[ground]) < 3.0} == set()


def test_both_schemes_have_every_colour_and_the_rules_name_no_other():
    assert LIGHT.keys() == DARK.keys() == {*TEXTS, *MARKS, *GROUNDS, "line"}
    rules = CSS[CSS.index("body {") :]
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", rules)) == {"#ffffff"}, "the ground of photographs"
    assert set(re.findall(r"var\(--([\w-]+)\)", rules)) <= LIGHT.keys()
