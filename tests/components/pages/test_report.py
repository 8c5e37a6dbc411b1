import functools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import tensorflow as tf

from comparisons import DRIFTED, EQUAL
from components.gate.extremes import ImageELBO
from components.gate.verdict import Verdict
from components.pages.account import Account
from components.pages.curves import curves
from components.pages.latents import groups
from components.pages.looks import Extreme, Looks, Picture
from components.pages.rendering import TEMPLATES, render
from trainer.carried import read_carried, write_carried
from trainer.evaluate import GroupKL, Quality
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.units import Units

NUMBERS = {
    "elbo": -1900.0,
    "elbo_standard_error": 2.0,
    "reconstruction": -1870.0,
    "kl": 30.0,
    "independent_pixels": -2117.8,
    "ceiling": -1685.0,
    "images": 10000.0,
    "data_fingerprint": float(0xABCDEF),
}
EARLIER = "The served model carries no intervals, because an earlier version exported it."
ACCOUNT = Account("run", "now", 0.0, (), None, (), "toy", (), {}, {}, ())
GAINS = {"elbo_gain": 10.5, "elbo_gain_lower": 10.1, "elbo_gain_upper": 10.9}
LABELS = {"<cat>": {**NUMBERS, "elbo": -1700.25}, "7": {**NUMBERS, "elbo": -2050.75}}


@pytest.fixture
def history():
    epochs = [
        {
            "epoch": i,
            "train_elbo": -2000.0 + i,
            "held_out": {"elbo": -1990.0 + i},
            "test": {"elbo": -1995.0 + i, "reconstruction": -1965.0 + i, "kl": 30.0},
            "images_per_second": 100.0,
        }
        for i in (1, 2, 3)
    ]
    latents = [GroupKL("z", (29.5, 0.5, 0.0), 0.75, 2, (1, 3))._asdict()]
    config = {"latent_size": 500, "seed": 0}
    return {"config": config, "best_epoch": 3, "epochs": epochs, "quality": None, "latents": latents}


def looks(scale=""):
    """Pictures with markup in the names of their images."""
    dot = tf.io.encode_png(np.zeros([1, 1, 3], np.uint8)).numpy()
    pictures = [Picture(name, dot, f"the {name}") for name in ("reconstructions", "samples", "interpolation")]
    ends = [
        [Extreme(f"<{end}>", ImageELBO(elbo, 1, elbo + 30.0, 30.0), Picture(f"{end}-1", dot, f"image <{end}>"))]
        for end, elbo in (("best", -1000.25), ("worst", -3000.75))
    ]
    return Looks(["test images", "this model"], *pictures, *ends, scale)


@functools.cache
def drawn(history, served):
    """The charts of histories as JSON, which take a while."""
    both = json.loads(history), json.loads(served)
    return {"charts": curves(*both), "latents": groups(*both)}


def page(verdict, history, pushed_to="", decoder="BernoulliMLP", compared=(), scale="", served=None, missing=False):
    html = render(
        "report.html.j2",
        verdict=verdict,
        compared=compared,
        history=history,
        is_history_missing=missing,
        **drawn(json.dumps(history), json.dumps(served)),
        units=Units.of(TrainConfig(decoder=decoder), Shape(32, 32, 3)),
        pushed_to=pushed_to,
        pictures=looks(scale),
        spans=[],
        settings={},
        account=ACCOUNT,
    )
    HTMLParser().feed(html)
    return html


def words(html):
    """The page with its markup, and single spaces between words."""
    return re.sub(r"> (?=<)", ">", " ".join(html.replace("&nbsp;", " ").split()))


def test_a_blessed_run_says_its_numbers_and_where_the_model_is_served(history):
    verdict = Verdict(True, NUMBERS | GAINS, {**NUMBERS, "elbo": -1910.5}, LABELS, [], [])
    html = page(verdict, history, pushed_to="/models/7")
    for text in ("Blessed", "/models/7", "-1900.00", "-1910.50", "10,000 images", "abcdef", "K = 4", "Bernoulli"):
        assert text in html
    for text in (
        "+10.50",
        "between +10.10 and +10.90",
        "between -1903.92 and -1896.08",
        "&lt;cat&gt;",
        "-1700.25",
        "-2050.75",
    ):
        assert text in html
    assert "bits/dim" not in html


def test_a_probability_of_pixels_is_also_given_in_bits(history):
    html = page(
        Verdict(True, {**NUMBERS, "elbo": -10646.8}, None, {}, [], []), history, decoder="DiscretizedLogisticMLP"
    )
    assert "5.000 bits/dim" in html  # 10646.8 / (3072 log 2)


def test_a_closer_look_at_the_model_is_shown_where_there_was_one(history):
    history["quality"] = Quality(100, 1000, 4.5, 0.25, -1895.5, 3.75)._asdict()
    html = words(page(Verdict(True, NUMBERS, None, {}, [], []), history))
    assert "bound of 100 draws: -1895.50 ± 3.75, a gain over the ELBO of 4.50 ± 0.25 on 1,000 test images." in html


def test_a_refused_run_says_why(history):
    html = page(Verdict(False, NUMBERS, None, {}, ["its ELBO is <too> low"], ["a <note>"]), history)
    assert "Refused" in html
    assert "its ELBO is &lt;too&gt; low" in html
    assert "Blessed" not in html


def test_comparisons_of_the_data_are_shown_with_their_histograms(history):
    html = page(Verdict(True, NUMBERS, None, {}, [], []), history, compared=[DRIFTED, EQUAL])
    assert html.count("<h2>The new data and the old data</h2>") == 2
    assert html.count("<svg viewBox") == 3


def test_the_page_needs_nothing_from_elsewhere(history):
    html = page(Verdict(True, NUMBERS, None, {}, [], []), history, compared=[DRIFTED])
    assert len(re.findall(r'src="data:image/png;base64,', html)) == 5
    assert html.count('<svg role="img" aria-label=') == 5
    assert not re.search(r'(src|href)="(?!data:|#)|url\((?!#)', html), "a fragment is a part of the page"
    assert "<script" not in html


def test_missing_numbers_are_marked_as_missing():
    template = TEMPLATES.from_string(
        '{% import "parts.html.j2" as parts %}'
        "{{ parts.verdict_box(verdict) }}{{ parts.numbers(verdict, units) }}{{ parts.labels(verdict) }}"
    )
    nothing = Verdict(False, {}, {"elbo": -1900.0}, {"7": {}}, ["TFMA has <no> numbers"], ["a <note>"])
    units = Units.of(TrainConfig(decoder="DiscretizedLogisticMLP"), Shape(32, 32, 3))
    html = " ".join(template.render(verdict=nothing, units=units).split())
    for text in (
        "TFMA has &lt;no&gt; numbers",
        "a &lt;note&gt;",
        "<td>ELBO</td><td>n/a</td> <td>-1900.00</td>",
        "the gain is n/a",
    ):
        assert text in html
    assert "bits/dim" not in html


def test_the_caption_says_that_images_are_scaled_down(history):
    verdict = Verdict(True, NUMBERS, None, {}, [], [])
    html = page(verdict, history, scale="64x64 of 512x512")
    assert html.count("Scaled down to 64x64 of 512x512 pixels, each the mean of the area that it covers.") == 1
    assert "Scaled down" not in page(verdict, history)


def test_every_picture_and_chart_says_what_it_shows(history):
    html = page(Verdict(True, NUMBERS, None, {}, [], []), history)
    assert len(re.findall(r'<img [^>]*alt="[^"]+"', html)) == html.count("<img")
    assert len(re.findall(r'<svg [^>]*aria-label(?:ledby)?="[^"]+"', html)) == html.count("<svg")


def test_the_extreme_images_have_their_ids_and_numbers(history):
    html = page(Verdict(True, NUMBERS, None, {}, [], []), history)
    text = " ".join(re.sub("<[^>]+>", " ", html).split())
    assert "&lt;best&gt; ELBO -1000.25 KL 30.00" in text
    assert "&lt;worst&gt; ELBO -3000.75" in text
    assert "image &lt;worst&gt;" in html, "the alternative text"


def test_latents_are_counted_beside_those_of_the_served_model(history):
    verdict = Verdict(True, NUMBERS, None, {}, [], [])
    alone = words(page(verdict, history))
    ours = "<td>z</td><td>2 of 3 (1 to 3)</td><td>30.00 ± 0.75</td>"
    assert f"<tr>{ours}</tr>" in alone
    served = {**history, "latents": [GroupKL("z", (29.0, 0.0, 0.0), 0.25, 1, (1, 2))._asdict()]}
    both = words(page(verdict, history, served=served))
    assert f"<tr>{ours}<td>1 of 3 (1 to 2)</td><td>29.00 ± 0.25</td></tr>" in both
    assert EARLIER not in alone + both


def test_a_served_model_of_an_earlier_version_has_its_counts_without_intervals(history, tmp_path):
    """The history is of the shape that the version before this one wrote into a model."""
    quality = {"importance_samples": 100, "importance_weighted_bound": -1895.5, "active_latents": 2}
    write_carried({**history, "quality": quality, "latents": [{"group": "z", "kl": [29.0, 0.0, 0.0]}]}, str(tmp_path))
    served = read_carried(str(tmp_path))
    html = words(page(Verdict(True, NUMBERS, None, {}, [], []), history, served=served))
    assert "<td>2 of 3 (1 to 3)</td><td>30.00 ± 0.75</td><td>1 of 3 (n/a)</td><td>29.00 ± n/a</td></tr>" in html
    assert EARLIER in html


def test_a_served_model_without_a_history_is_told(history):
    verdict = Verdict(True, NUMBERS, None, {}, [], [])
    text = "The served model carries no history of its training, because an earlier version exported it."
    assert text in " ".join(page(verdict, history, missing=True).split())
    assert text not in " ".join(page(verdict, history).split())
