"""The documents' screenshots are those that the command takes, each of a page that a run writes."""

import io
import json
import re

import pytest
from documents import FILES, REPOSITORY
from PIL import Image

from scripts.docs.screenshots import FOLDER, HEADINGS, SHOTS, take

BYTES = 250_000


def test_the_documents_show_all_screenshots_and_no_other():
    shown = {name for file in FILES for name in re.findall(r"assets/([\w-]+\.png)", file.read_text())}
    assert shown == set(SHOTS) == {path.name for path in (REPOSITORY / FOLDER).glob("*.png")}


@pytest.mark.parametrize("name", SHOTS)
def test_a_screenshot_has_the_width_of_its_screen_and_is_small(name):
    path, shot = REPOSITORY / FOLDER / name, SHOTS[name]
    assert Image.open(path).width == shot.screen.width * shot.scale
    assert path.stat().st_size < BYTES


def test_a_screenshot_ends_with_its_page_and_knows_its_headings(browser, tmp_path):
    page, shot = tmp_path / "page.html", SHOTS["report-phone.png"]
    for height, expected in ((300, 300), (3000, shot.height)):
        heading = f'<h1>Top</h1><h2 style="height: {height}px">Part</h2>'
        page.write_text(f"<!doctype html><style>* {{margin: 0}}</style>{heading}")
        taken = Image.open(io.BytesIO(take(browser, page, shot)))
        assert taken.width == shot.screen.width * shot.scale
        assert 0 <= taken.height / shot.scale - expected <= (0 if height > shot.height else 60)
        below = Image.open(io.BytesIO(take(browser, page, shot._replace(start="Part"))))
        assert (below.height < taken.height) == (height < shot.height)
        assert json.loads(taken.text[HEADINGS]) == ["Top", "Part"]
