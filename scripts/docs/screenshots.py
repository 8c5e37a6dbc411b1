"""Takes the screenshots of the documents, of pages that runs write: `python -m scripts.docs.screenshots`.

Does what the tutorials do, on the embedded data, in a few minutes. Needs Chromium.
"""

import io
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

from PIL import Image, ImageEnhance
from PIL.PngImagePlugin import PngInfo
from sklearn.datasets import load_sample_image

from scripts.docs.browser import Browser, Screen, started

FOLDER = pathlib.Path("docs/assets")
HEADINGS = "headings"  # of the page, in a text chunk of the PNG: they tell whether the page has changed since


class Shot(NamedTuple):
    """A screenshot."""

    page: str  # of which page
    screen: Screen
    height: int  # CSS pixels, at most
    scale: float = 1.0  # pixels in the file for each
    start: str = ""  # the heading with which it starts, or the top


SHOTS = {
    "report.png": Shot("report", Screen(760), 1240),
    "report-pictures.png": Shot("report", Screen(760), 1200, start="Test images and reconstructions"),
    "report-phone.png": Shot("report", Screen(360, dark=True), 760, scale=2.0),
    "refusal.png": Shot("refusal", Screen(760), 560),
    "comparison.png": Shot("comparison", Screen(760), 1100),
    "drift.png": Shot("drift", Screen(760), 900),
    "runs.png": Shot("runs", Screen(760), 900),
    "model-card.png": Shot("card", Screen(760), 700),
}
DATA = "--dataset=photo_patches"
TOP = "[...document.querySelectorAll('h2')].find(one => one.textContent === %s).getBoundingClientRect().top - 12"
ROOT = "/home/me/vaeiaf/vaeiaf"  # the state directory of the tutorials


def main() -> None:
    """Writes the screenshots to docs/assets."""
    with tempfile.TemporaryDirectory() as folder, started() as browser:
        pages = write_pages(pathlib.Path(folder))
        for name, shot in SHOTS.items():
            (FOLDER / name).write_bytes(take(browser, pages[shot.page], shot))


def write_pages(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Does what the tutorials do in `folder`, and returns the pages with the tutorials' name of the state directory."""
    written = {"report": _run(folder), "refusal": _run(folder, "--epochs=1")}
    models = folder.glob("root/artifacts/*/Trainer/model/*/Format-Serving")
    refused = max(models, key=lambda model: int(model.parent.name))
    written["comparison"] = folder / "comparison/index.html"
    _vaeiaf(folder, "compare", refused, "served", DATA, f"--output={written['comparison'].parent}")
    of_days = [_photographs(folder / day, brightness) for day, brightness in (("tuesday", 0.8), ("monday", 1.0))]
    written["drift"] = folder / "drift.html"
    _vaeiaf(folder, "drift", *of_days, f"--output={written['drift']}")
    written["card"] = max(folder.glob("root/pushed/*/*/assets.extra/model_card.html"))
    _vaeiaf(folder, "report", "--series")
    written["runs"] = folder / "root/index.html"
    pages = {name: folder / f"{name}-page.html" for name in written}
    for name, path in written.items():
        pages[name].write_text(path.read_text().replace(f"{folder}/root", ROOT).replace(f"{folder}/", "photos/"))
    return pages


def _run(folder: pathlib.Path, *arguments: str) -> pathlib.Path:
    """Returns the report of a run."""
    console = _vaeiaf(folder, "run", DATA, "--preset=smoke", *arguments)
    return pathlib.Path(re.findall(r"^Report: (.+)$", console, re.MULTILINE)[-1])


def _vaeiaf(folder: pathlib.Path, *arguments: str | pathlib.Path) -> str:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments), f"--root={folder / 'root'}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 3):  # 3 is a refusal, or drift
        raise RuntimeError(f"{' '.join(command)}: {ran.stdout}{ran.stderr}")
    return ran.stdout


def _photographs(folder: pathlib.Path, brightness: float) -> pathlib.Path:
    """Writes crops of a photograph to `folder`, and returns it."""
    folder.mkdir()
    photograph = ImageEnhance.Brightness(Image.fromarray(load_sample_image("china.jpg"))).enhance(brightness)
    for number, (top, left) in enumerate(itertools.product(range(0, 416, 16), range(0, 608, 16))):
        photograph.crop((left, top, left + 32, top + 32)).save(folder / f"{number:04d}.png")
    return folder


def take(browser: Browser, page: pathlib.Path, shot: Shot) -> bytes:
    """Returns the screenshot of `page` as a PNG of 256 colours, with the page's headings."""
    browser.open(page, shot.screen)
    top = browser.evaluate(TOP % json.dumps(shot.start)) if shot.start else 0
    picture = Image.open(io.BytesIO(browser.screenshot(top, shot.height, shot.scale))).convert("RGB").quantize(256)
    about = PngInfo()
    about.add_text(HEADINGS, json.dumps(headings(page)))
    written = io.BytesIO()
    picture.save(written, "PNG", optimize=True, pnginfo=about)
    return written.getvalue()


def headings(page: pathlib.Path) -> list[str]:
    """Returns the headings of the sections of a page."""
    return re.findall(r"<h[12][^>]*>(.*?)</h[12]>", page.read_text(), re.DOTALL)


def recorded(name: str) -> list[str]:
    """Returns the headings of the page at the time of the screenshot `name`."""
    return json.loads(Image.open(FOLDER / name).text[HEADINGS])


if __name__ == "__main__":
    main()
