import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import tensorflow as tf

from components.pages.charts import ACCENT, INK, LINE, chart
from components.pages.curves import CURVES, curves
from components.pages.latents import Use, groups
from trainer.evaluate import ACTIVE


def history(values, kl=(0.5, 0.25), group="z"):
    epochs = [
        {
            "epoch": i,
            "train_elbo": value - 10.0,
            "held_out": {"elbo": value + 1.0},
            "test": {"elbo": value, "reconstruction": value + 5.0, "kl": 5.0},
            "images_per_second": 100.0 * i,
        }
        for i, value in enumerate(values, start=1)
    ]
    latents = [{"group": group, "kl": [*kl], "half_width": 0.25, "active_interval": [1, 2]}]
    return {"best_epoch": len(epochs), "epochs": epochs, "latents": latents}


@pytest.fixture(scope="module")
def drawn():
    def draw(axes):
        axes.plot([1, 2], [3, 4], "o-", color=ACCENT, label="a <line>")
        axes.legend()

    return chart("name", "A <chart> & more", draw)


def test_a_chart_has_the_colours_of_its_page_and_text_that_is_text(drawn):
    colours = {("--ink", INK), ("--line", LINE), ("--accent", ACCENT)}
    assert set(re.findall(r"var\((--\w+), (#\w+)\)", drawn.svg)) == colours
    assert not re.search(r": *#", drawn.svg), "no colour of its own"
    assert "a &lt;line&gt;</text>" in drawn.svg
    assert "font-family" not in drawn.svg


def test_a_chart_is_one_element_that_says_what_it_shows(drawn):
    svg = ElementTree.fromstring(str(drawn.svg).replace("xlink:href", "href"))
    assert (svg.tag, svg.get("role"), svg.get("aria-label")) == ("svg", "img", "A <chart> & more")
    assert tf.io.decode_png(drawn.png).shape[0] > 300


def test_the_ids_of_two_charts_on_a_page_differ_and_every_reference_is_to_one(drawn):
    other = chart("other", "", lambda axes: axes.plot([1, 2], [3, 4], "o-"))
    of = lambda one: set(re.findall(r'\bid="([^"]*)"', one.svg))  # noqa: E731
    used = lambda one: set(re.findall(r'(?:\(|")#([^")]*)', one.svg))  # noqa: E731
    assert of(drawn).isdisjoint(of(other))
    for one in (drawn, other):
        assert used(one)
        assert used(one) <= of(one)


@pytest.fixture(scope="module")
def found():
    return curves(history([-2020.0, -15.5]), history([-30.0, -25.0, -20.0]))


def test_there_is_a_chart_of_each_curve_which_changes_with_the_numbers_of_both_models(found):
    assert len(found) == len(CURVES)
    changed = curves(history([-2020.0, -14.0]), history([-30.0, -25.0, -20.0]))
    assert [one.name for one, other in zip(found, changed, strict=True) if one.svg != other.svg] == [
        "curve-elbo",
        "curve-reconstruction",
    ]
    alone = curves(history([-2020.0, -15.5]))
    assert all(one.svg != other.svg for one, other in zip(found, alone, strict=True))
    assert "served" not in "".join(one.alt + one.svg for one in alone)


def test_the_alternative_text_has_both_models_numbers(found):
    assert found[0].alt == (
        "ELBO after each epoch, nats per image. This model: from -2,020.00 to -15.50 in 2 epochs. The served model: "
        "from -30.00 to -20.00 in 3 epochs."
    )


@pytest.mark.parametrize("values", [[math.nan], [math.nan, math.inf, -math.inf], [-1.0, math.nan, 2.0]])
def test_curves_and_latents_can_be_drawn_of_numbers_that_are_not_finite(values):
    broken = history(values, kl=values)
    for one in (*curves(broken, broken), *(group.chart for group in groups(broken, broken))):
        assert tf.io.decode_png(one.png).shape[0] > 100
        assert one.alt


def test_groups_of_latents_are_beside_those_of_the_same_name():
    kl = [0.0, 2 * ACTIVE, 1.0, ACTIVE / 2]
    (group,) = groups(history([1.0], kl), history([1.0], [0.5, 0.0]))
    assert (group.use, group.served) == (Use(4, 2, [1, 2], sum(kl), 0.25), Use(2, 1, [1, 2], 0.5, 0.25))
    (other,) = groups(history([1.0], kl), history([1.0], group="8x8"))
    assert other.served is None
    assert group.chart.svg != other.chart.svg


def test_the_order_of_the_latents_is_that_of_their_kl():
    kl = np.random.default_rng(0).random(20)
    one, other = (groups(history([1.0], order))[0].chart for order in (kl.tolist(), kl[::-1].tolist()))
    assert one.svg == other.svg
