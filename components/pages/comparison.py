"""The page of a comparison of two models, with its pictures beside it."""

import math
import pathlib
from collections.abc import Sequence

from components.gate.measure import Measured
from components.gate.sums import Metrics
from components.pages.pictures import first_images, reconstructions, samples
from components.pages.rendering import render
from trainer.exported import Exported
from trainer.storage.atomic import whole

PAGE = "index.html"


def better(of_b: Metrics) -> str | None:
    """Returns which model the 95 % interval of B's gain over A favours, A or B; None if it holds 0 or is no number."""
    if of_b["elbo_gain_lower"] > 0.0:
        return "B"
    return "A" if of_b["elbo_gain_upper"] < 0.0 else None


def verdict(of_b: Metrics) -> str:
    """Describes the gain of model B over model A in a sentence without its full stop."""
    gain, lower, upper = (of_b[name] for name in ("elbo_gain", "elbo_gain_lower", "elbo_gain_upper"))
    images = f"{of_b['images']:,.0f} paired images"
    if lower == upper == 0.0:
        return f"A and B are the same on each of {images}"
    if not math.isfinite(gain):
        return f"The gain of B over A is {gain} over {images}: the ELBO of one of them is no finite number"
    which = better(of_b)
    found = f"{which} is better" if which else "Neither model is better: the interval holds 0"
    return (
        f"{found}. The gain of B over A over {images} is {gain:+.2f} nats per image, with 95 % confidence between "
        f"{lower:+.2f} and {upper:+.2f}"
    )


def write_comparison(
    folder: str, a: Exported, b: Exported, measured: Measured, splits: Sequence[str], name: str
) -> None:
    """Writes the page and its pictures atomically to the new folder `folder`.

    Args:
      folder: holds index.html, which contains the pictures, and each of them as a PNG.
      a: the first model.
      b: the second model.
      measured: the numbers of `b`, whose baseline is `a`.
      splits: folders of the Examples whose first images the pictures show.
      name: of the split.

    Raises:
      StorageError: it cannot be written.
    """
    images = {
        "reconstructions": reconstructions(first_images(splits), [a, b]),
        "samples-a": samples(a),
        "samples-b": samples(b),
    }
    page = render(
        "comparison.html.j2",
        a=a.path,
        b=b.path,
        split=name,
        units=a.units,
        of_a=measured.baseline,
        of_b=measured.whole,
        labels=measured.labels,
        better=better(measured.whole),
        verdict=verdict(measured.whole),
        pictures=images,
    )
    with whole("the comparison", folder) as unfinished:
        pathlib.Path(unfinished).mkdir()
        for name, png in images.items():
            pathlib.Path(unfinished, f"{name}.png").write_bytes(png)
        pathlib.Path(unfinished, PAGE).write_text(page)
