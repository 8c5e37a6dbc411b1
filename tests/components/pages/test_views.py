"""What the UI shows of a small model, with verdicts of the real Evaluator."""

import json
import math
import pathlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from tfx.types import standard_artifacts

from comparisons import BRIGHTNESS, DRIFTED
from components.drift.component import DriftFindings
from components.drift.findings import write_findings
from components.drift.names import NODES, SPAN_DRIFT
from components.gate.serving_record import Serving
from components.pages.report import ReportPage
from components.pages.views import View, view
from evaluator import evaluate, write_examples
from kubeflow.spec.contract import METRICS, PAGES
from toy_data import png, serialized
from trainer.evaluate import GroupKL, MeanELBO, Quality
from trainer.export import Servable, save
from trainer.images import ImageSet, pixel_model, preprocessing
from trainer.model.build import build
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.training.record import Epoch, TrainResult, write_history
from trainer.units import Units, write_units

pytestmark = pytest.mark.slow  # the real Evaluator, three times

COUNT = 12
MAX_BYTES = 300_000  # the test images are noise, which no PNG makes smaller
QUALITY = Quality(128, 12, 7.25, 0.5, -2242.0, 3.5)
ELBOS = (-2300.5, -2250.25, -2260.0)


def epochs(elbos):
    return tuple(
        Epoch(i, elbo - 10.0, MeanELBO(elbo, elbo + 5.0, 5.0), MeanELBO(elbo + 1.0, elbo + 6.0, 5.0), 100.0 * i, 2.0)
        for i, elbo in enumerate(elbos, start=1)
    )


class Run:
    """The artifacts of a run, as the nodes leave them."""

    def __init__(self, folder, model, config, labels=3, elbos=ELBOS):
        self.folder = folder
        records = [serialized(f"id_{i:03d}", png(i), i % labels) for i in range(COUNT)]
        self.examples = write_examples(folder / "examples", records)
        self.model, self.model_run = standard_artifacts.Model(), standard_artifacts.ModelRun()
        self.model.uri, self.model_run.uri = str(model), str(folder)
        done = epochs(elbos)
        result = TrainResult(None, done, 2, done[1].test, QUALITY, (GroupKL("z", (4.5, 0.5), 0.25, 2, (1, 2)),))
        write_history(config, result, self.model_run.uri)

    def judge(self, name, baseline=None, **rules):
        return evaluate(self.folder / name, self.examples, self.model, baseline, **rules)[0]

    def trainer(self, attempts=()):
        outputs = {"model": [self.model], "model_run": [self.model_run]}
        return view("Trainer", {"examples": [self.examples]}, outputs, attempts)

    def evaluator(self, evaluation):
        return view("Evaluator", {}, {"evaluation": [evaluation]})


@pytest.fixture(scope="module")
def run(tmp_path_factory, exported, tiny):
    return Run(tmp_path_factory.mktemp("run"), exported.parent, tiny)


@pytest.fixture(scope="module")
def broken(tmp_path_factory, tiny):
    """A run whose model is NaN."""
    shape = Shape(32, 32, 3)
    folder, model = tmp_path_factory.mktemp("broken"), build(tiny, shape)
    variable = model.trainable_variables[0]
    variable.assign(np.full(variable.shape, math.nan))
    pixels = pixel_model(ImageSet(np.zeros([1, *shape], np.uint8), np.zeros([1], np.int64)))
    servable = Servable(model, pixels, 2, preprocessing(shape), shape)
    save(servable, Units.of(tiny, shape), str(folder / "model/Format-Serving"))
    return Run(folder, folder / "model", tiny, labels=1, elbos=(math.nan, math.nan, -math.inf))


@pytest.fixture(scope="module")
def blessed(run):
    """An evaluation beside a baseline, which is the same model."""
    return run.judge("blessed", baseline=run.model, min_elbo=-1e6)


@pytest.fixture(scope="module")
def refused(run):
    return run.judge("refused", min_elbo=-500.0, min_label_elbo=-600.0)


@pytest.fixture(scope="module")
def worthless(broken):
    return broken.judge("worthless")


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    """A run whose model cannot be loaded, and its evaluation."""
    folder = tmp_path_factory.mktemp("silent")
    broken = Run(folder, folder / "none", TrainConfig())
    write_units(Units.of(TrainConfig(), Shape(32, 32, 3)), str(folder / "none/Format-Serving"))
    return broken, broken.judge("silent", serving=Serving.useless(["it cannot be loaded"], None))


@pytest.fixture
def report(tmp_path):
    """The view of a report."""
    page = ReportPage()
    page.uri = str(tmp_path / "report")
    pathlib.Path(page.uri).mkdir()
    pathlib.Path(page.uri, "index.html").write_text("<!doctype html>")
    return view("Report", {}, {"report": [page]})


@pytest.fixture(scope="module")
def pages(run, broken):
    return {"trainer": run.trainer().html, "broken trainer": broken.trainer().html}


def test_every_page_needs_nothing_from_elsewhere_and_runs_nothing(pages):
    for html in pages.values():
        HTMLParser().feed(html)
        assert not re.search(r"https?://|<script|<link|@import|url\((?!#)|\son\w+=", html)
        sources = re.findall(r'(?:src|href)="([^"]*)', html)
        assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)


def test_every_page_reads_well(pages, tmp_path, faults_of):
    for name, html in pages.items():
        path = tmp_path / f"{name}.html"
        path.write_text(html)
        assert faults_of(path) == [], name


def test_every_page_is_small(pages):
    for name, html in pages.items():
        assert len(html.encode()) < MAX_BYTES, name


def test_the_trainer_shows_its_curve_its_recipe_and_three_kinds_of_pictures(pages, tiny):
    html = pages["trainer"]
    assert html.count('src="data:image/png') == 3
    assert html.count('<svg role="img" aria-label=') == 5
    for text in (
        "-2249.25",
        "3 epochs in 6.0 s",
        "200 images per second",
        "Epoch 2 has the best",
        "Bernoulli",
        "bound of 128 draws: -2242.00 ± 3.50, a gain over the ELBO of 7.25 ± 0.50 on 12 test images.",
        "<td>2 of 2 (1 to 2)</td> <td>5.00 ± 0.25</td>",
    ):
        assert text in " ".join(html.replace("&nbsp;", " ").split())
    for name, value in tiny.to_dict().items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in html


def test_the_trainers_numbers_are_those_of_the_exported_model_and_of_the_way_to_it(run):
    assert run.trainer().metrics == {
        "test_elbo_nats_per_image": -2249.25,
        "test_reconstruction_nats_per_image": -2244.25,
        "test_kl_nats_per_image": 5.0,
        "best_held_out_elbo_nats_per_image": -2250.25,
        "best_epoch": 2.0,
        "epochs": 3.0,
        "images_per_second": 200.0,
        "training_seconds": 6.0,
        "active_latents": 2.0,
        "test_importance_weighted_bound_nats_per_image": -2242.0,
        "test_importance_weighted_bound_half_width_nats_per_image": 3.5,
        "test_importance_weighted_gain_nats_per_image": 7.25,
        "test_importance_weighted_gain_half_width_nats_per_image": 0.5,
    }


def test_the_evaluators_numbers_say_the_verdict_and_the_gain(run, blessed, refused):
    metrics = run.evaluator(blessed).metrics
    assert metrics["blessed"] == 1.0
    assert metrics["test_images"] == COUNT
    assert metrics["baseline_elbo_nats_per_image"] == metrics["elbo_nats_per_image"] < -1000.0
    assert metrics["elbo_gain_lower_nats_per_image"] == metrics["elbo_gain_upper_nats_per_image"] == 0.0
    alone = run.evaluator(refused).metrics
    assert alone["blessed"] == 0.0
    assert not [name for name in alone if "gain" in name or "baseline" in name]


def test_a_model_without_a_finite_elbo_has_a_page_and_only_the_numbers_that_json_knows(broken, worthless):
    metrics = broken.evaluator(worthless).metrics
    assert metrics["blessed"] == 0.0
    assert "elbo_nats_per_image" not in metrics
    assert "best_held_out_elbo_nats_per_image" not in broken.trainer().metrics
    for shown in (metrics, broken.trainer().metrics):
        assert all(type(value) is float for value in shown.values())
        json.dumps(shown, allow_nan=False)


def test_a_page_tells_what_came_of_earlier_attempts(run, pages):
    html = run.trainer(["<away>", "the pod was lost"]).html
    assert "Earlier attempts" in html
    assert "<li>&lt;away&gt;</li>\n<li>the pod was lost</li>" in html
    assert not [name for name, page in pages.items() if "Earlier attempts" in page]


def test_a_model_that_cannot_be_loaded_has_the_number_of_its_refusal(silent):
    run, evaluation = silent
    assert run.evaluator(evaluation) == View(None, {"blessed": 0.0})


def test_the_report_is_shown_as_it_is(report):
    assert report == View("<!doctype html>", {})


def test_texts_cannot_become_markup(run, tmp_path):
    history = json.loads(pathlib.Path(run.model_run.uri, "history.json").read_text())
    history["config"]["decoder"] = "<img onerror=x>"
    (tmp_path / "history.json").write_text(json.dumps(history))
    odd = standard_artifacts.ModelRun()
    odd.uri = str(tmp_path)
    html = view("Trainer", {"examples": [run.examples]}, {"model": [run.model], "model_run": [odd]}).html
    assert "<dd>&lt;img onerror=x&gt;</dd>" in html


def test_the_nodes_that_show_something_are_those_whose_tasks_declare_it(run, blessed, report, tmp_path):
    found = DriftFindings()
    found.uri = str(tmp_path)
    write_findings(DRIFTED, found.uri)
    shown = {node: view(node, {}, {"drift": [found]}) for node in NODES}
    assert shown[SPAN_DRIFT].metrics["brightness_bits"] == BRIGHTNESS.divergence
    shown |= {"Trainer": run.trainer(), "Evaluator": run.evaluator(blessed)}
    shown["Report"] = report
    assert {node for node, found in shown.items() if found.html} == set(PAGES)
    assert {node for node, found in shown.items() if found.metrics} == set(METRICS)


@pytest.mark.parametrize("node", ["Transform", "AtomicPusher", "LastBlessedModel", "no such node"])
def test_other_nodes_show_nothing(node):
    assert view(node, {}, {}) == View(None, {})
