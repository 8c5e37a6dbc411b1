import numpy as np
import pytest
import tensorflow as tf

from components.gate.verdict import Verdict
from components.pages.parts import elbo_curve, image_grid, render
from trainer.settings import TrainConfig
from trainer.units import Units


@pytest.fixture
def history():
    epochs = [
        {"epoch": i, "train_elbo": -2000.0 + i, "held_out": {"elbo": -1990.0 + i}, "test": {"elbo": -1995.0 + i}}
        for i in (1, 2, 3)
    ]
    return {"best_epoch": 3, "epochs": epochs}


@pytest.fixture
def page(tmp_path):
    """The page that a template makes which calls these parts."""

    def run(calls, **values):
        template = tmp_path / "test.html.j2"
        template.write_text(
            '{% extends "page.html.j2" %}{% import "parts.html.j2" as parts %}{% block title %}Test{% endblock %}'
            "{% block body %}" + calls + "{% endblock %}"
        )
        return " ".join(render(template, **values).split())

    return run


def test_a_grid_has_every_image_at_its_place():
    images = np.random.default_rng(0).integers(0, 256, [6, 32, 32, 3], dtype=np.uint8)
    grid = tf.io.decode_png(image_grid(images, columns=3)).numpy()
    assert grid.shape == (64, 96, 3)
    for i, image in enumerate(images):
        row, column = divmod(i, 3)
        np.testing.assert_array_equal(grid[32 * row : 32 * row + 32, 32 * column : 32 * column + 32], image)


def test_the_curve_is_a_picture_that_changes_with_the_numbers(history):
    before = elbo_curve(history)
    history["epochs"][1]["test"]["elbo"] += 5.0
    assert tf.io.decode_png(before).shape[-1] in (3, 4)
    assert elbo_curve(history) != before


@pytest.mark.parametrize("epochs", [[np.nan], [np.nan, np.inf, -np.inf], [-1.0, np.nan, 2.0]])
def test_the_curve_can_be_drawn_of_numbers_that_are_not_finite(epochs):
    rows = [{"epoch": i, "train_elbo": v, "held_out": {"elbo": v}, "test": {"elbo": v}} for i, v in enumerate(epochs)]
    assert tf.io.decode_png(elbo_curve({"epochs": rows, "best_epoch": 0})).shape[0] > 100


def test_numbers_that_are_not_there_are_said_to_be_missing(page):
    nothing = Verdict(False, {}, {"elbo": -1900.0}, {7: {}}, ["TFMA found <no> numbers"], ["a <note>"])
    calls = "{{ parts.verdict_box(verdict) }}{{ parts.numbers(verdict, units) }}{{ parts.labels(verdict) }}"
    html = page(calls, verdict=nothing, units=Units.of(TrainConfig(decoder="DiscretizedLogisticMLP")))
    for text in (
        "TFMA found &lt;no&gt; numbers",
        "a &lt;note&gt;",
        "<td>ELBO</td><td>n/a</td> <td>-1900.00</td>",
        "the gain is n/a",
    ):
        assert text in html
    assert "bits/dim" not in html
