"""Takes the picture of a run's report: `python -m scripts.docs.screenshot PATH/index.html`. Needs Chromium."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from PIL import Image

WIDTH, HEIGHT = 760, 1625  # pixels: ends below the samples from the prior, above the configuration
FILE = pathlib.Path("docs/assets/report.png")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(report: str) -> None:
    """Writes the picture of the page `report` to docs/assets/report.png, in 256 colours."""
    browser = next(path for name in BROWSERS if (path := shutil.which(name)))
    with tempfile.TemporaryDirectory() as folder:
        whole = pathlib.Path(folder, "report.png")
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"]
        page = pathlib.Path(report).resolve().as_uri()
        subprocess.run([browser, *options, f"--screenshot={whole}", page], check=True, capture_output=True)
        Image.open(whole).convert("RGB").quantize(256).save(FILE, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
