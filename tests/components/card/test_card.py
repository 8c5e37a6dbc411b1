"""A model card says the facts that it is given, whatever their characters, and goes without those that are missing."""

import datetime
import html as html_escapes
import json
import re

import pytest

from cards import CARD, card_with
from components.card.card import Card, Copied
from components.card.files import read_card, write_card
from components.card.names import FILES, HTML, model_identity
from components.card.text import html, markdown
from pages import Page
from trainer.storage.digests import compute_digests

NOTHING = CARD._replace(
    run=None, figures={}, baseline=None, labels={}, notes=[], measure=None, data=None, serving=None, training=None
)._replace(libraries={}, code="")
EARLIER = {"recipe", "epochs", "best_epoch", "seconds", "images_per_second", "base_model"} | {
    "importance_weighted_bound",
    "importance_samples",
}
HOSTILE = ["a|b", "<script>alert(1)</script>", "*stars* _and_ `ticks`", "[link](http://x.example)", "&amp; &", "a\n# b"]


def page(card):
    return Page(html(markdown(card), "Model card"))


def rows(card):
    """The rows of all tables, by their first cell."""
    found = map(_cells, re.findall(r"<tr>(.*?)</tr>", html(markdown(card), ""), re.DOTALL))
    return {first: others for first, *others in found}


def _cells(row):
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
    return [html_escapes.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in cells]


def test_a_card_has_the_sections_of_the_paper_and_needs_no_network():
    found = page(CARD)
    assert found.texts("h2") == [
        *["Model details", "Intended use", "Factors", "Metrics", "Data", "Quantitative analyses"],
        *["Ethical considerations", "Caveats and recommendations", "How to call it", "Recipe"],
    ]
    assert (found.fetched, found.tags & {"script", "img", "iframe"}) == ([], set())


def test_a_card_is_legible_everywhere(tmp_path, faults_of):
    write_card(CARD, str(tmp_path))
    assert faults_of(tmp_path / HTML) == []


def test_its_figures_are_those_of_the_gate_with_their_intervals():
    found = rows(CARD)
    assert found["ELBO"] == ["-10.50", "-11.50"]
    assert found["ELBO, 95 % interval"] == ["-11.25 to -9.75", "-12.50 to -10.50"]
    assert found["gain over the last blessed model"][0] == "+1.00"
    assert found["gain, 95 % interval"][0] == "+0.25 to +1.75"
    assert found["bits per dimension, at most"][0] == "4.321"
    assert found["importance-weighted bound, 64 draws"] == ["-9.25", ""]
    assert found["importance-weighted bound, 95 % interval"] == ["-9.50 to -9.00", ""]
    assert found["its gain over the ELBO, on 1,000 images"] == ["+1.25", ""]
    assert found["its gain, 95 % interval"] == ["+1.12 to +1.38", ""]
    assert found["cat"] == ["600", "-9.00", "n/a"]
    assert found["test images"] == ["1,234"]
    assert found["fingerprint of the test images"] == ["ff"]
    assert found["spans, the oldest first"] == ["2026-01-30, 2026-01-31"]
    assert found["sample"] == ["32", "0.061", "0.078"]
    assert found["training"][0].startswith("2 epochs in 0:02:00 (h:mm:ss), 1,750 images per second; epoch 1 ")
    assert found["start"] == ["random weights"]
    warm = card_with(training=CARD.training._replace(base_model="1f" * 32))
    assert rows(warm)["start"] == [f"the weights of the model {'1f' * 32}"]
    assert (found["seed"], found["tensorflow"]) == (["7"], ["2.21.0"])
    assert found["digest of the model, SHA-256"] == [CARD.model]


def test_a_likelihood_that_is_no_probability_has_no_bits_and_compresses_nothing():
    text = markdown(card_with(measure=CARD.measure._replace(bits_per_dim=None)))
    assert "no bits per dimension" in text
    assert "bits-back" in markdown(CARD)
    assert "bits-back" not in text


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ({"encoder": "GaussianMLP", "iaf_steps": 3}, " with inverse autoregressive flow."),
        ({"encoder": "GaussianLadder", "iaf_steps": 1}, " with a ladder of latents and inverse autoregressive flow."),
        ({"encoder": "GaussianMLP", "iaf_steps": 0}, "."),
    ],
)
def test_a_card_says_what_kind_of_model_it_is(recipe, kind):
    text = markdown(card_with(training=CARD.training._replace(recipe=recipe)))
    assert f"a variational autoencoder{kind}\n" in text


def test_a_bound_of_an_earlier_version_of_the_project_has_no_interval():
    facts = json.loads(CARD.to_json())
    facts["training"] = {name: value for name, value in facts["training"].items() if name in EARLIER}
    found = rows(Card.from_json(json.dumps(facts)))
    assert found["importance-weighted bound, 64 draws"] == ["-9.25", ""]
    assert not [name for name in found if name.startswith(("importance-weighted bound, 95", "its gain"))]


def test_a_card_goes_without_what_is_not_recorded():
    assert page(NOTHING).texts("h1") == [f"Model card: {CARD.series}, version 0"]
    assert rows(NOTHING)["ELBO"] == ["n/a"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_has_a_meaning_in_markdown_or_html(name):
    card = card_with(
        labels={name: {"elbo": -1.0}},
        notes=[name],
        training=CARD.training._replace(recipe={"iaf_steps": 0, "data": name}),
        copies=[Copied(3, "rollback", "2026", name, name)],
    )
    found, shown = page(card), " ".join(name.split())
    assert rows(card)[shown] == ["n/a", "-1.00", "n/a"]
    assert rows(card)["data"] in ([shown], ["photo_patches"])
    assert any(text.endswith(f"a rollback of {shown} at 2026: {shown}") for text in found.texts("p"))
    assert not found.tags & {"script", "em", "strong"} - page(CARD).tags
    assert found.attributes("a", "href") == page(CARD).attributes("a", "href")


def test_the_files_keep_all_facts_and_are_no_part_of_the_model(tmp_path):
    (tmp_path / "saved_model.pb").write_text("model")
    without = model_identity(compute_digests(str(tmp_path)))
    write_card(CARD, str(tmp_path))
    assert read_card(str(tmp_path)) == CARD
    write_card(CARD.numbered(4, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)), str(tmp_path))
    assert set(compute_digests(str(tmp_path))) == {"saved_model.pb", *FILES}
    assert model_identity(compute_digests(str(tmp_path))) == without
    (tmp_path / "saved_model.pb").write_text("other")
    assert model_identity(compute_digests(str(tmp_path))) != without


def test_a_model_of_an_earlier_version_of_the_project_has_no_card(tmp_path):
    assert read_card(str(tmp_path)) is None


def test_copies_of_copies_keep_every_step():
    card, time = CARD, datetime.datetime(2026, 2, 1, 13, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    for version in (5, 9):
        card = card.numbered(version, time).copied("rollback", "ada", "grey", time)
    assert card.copies == [Copied(number, "rollback", "2026-02-01 12:05 UTC", "ada", "grey") for number in (5, 9)]
    assert Card.from_json(card.to_json()) == card
