"""`evaluate` and `compare` print the numbers that the gate decides by."""

import pathlib
import shutil

import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from evaluator import evaluate
from exported import RECIPE, push
from pipeline.examples import examples_of
from pipeline.settings import PipelineConfig
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.storage.digests import write_digests

pytestmark = pytest.mark.slow  # the real Evaluator, and ingestion by Beam

OLD, NEW, SHAPE, COUNT = 100, 200, Shape(8, 6, 3), 26
PARTS = ("elbo", "reconstruction", "kl", "independent_pixels", "elbo_standard_error")


@pytest.fixture(scope="module")
def verdict(pushed, data, tmp_path_factory):
    """TFX's Evaluator on both models."""
    folder = tmp_path_factory.mktemp("verdict")

    def artifact(version):
        model = standard_artifacts.Model()
        model.uri = str(folder / str(version))
        shutil.copytree(pushed / f"pushed/vaeiaf-toy/{version}", f"{model.uri}/Format-Serving")
        write_digests(model.uri)
        return model

    with examples_of(PipelineConfig(data=data, root=str(pushed)), SHAPE) as examples:
        return evaluate(folder, examples, artifact(NEW), artifact(OLD), min_elbo=-1e6)[1]


@pytest.fixture
def compared(call, data):
    return call("compare", OLD, NEW, f"--data={data}", "--json").facts


def test_evaluate_prints_the_numbers_of_the_gate(call, data, verdict):
    facts = call("evaluate", "served", f"--data={data}", "--json").facts
    for part in PARTS:
        assert facts[part] == pytest.approx(verdict.candidate[part], rel=1e-6)
    assert facts["images"] == COUNT
    assert facts["data_fingerprint"] == f"{int(verdict.candidate['data_fingerprint']):x}"
    assert {name: label["images"] for name, label in facts["labels"].items()} == {"cat": 13, "dog": 13}
    for name, label in facts["labels"].items():
        assert label["elbo"] == pytest.approx(verdict.labels[name]["elbo"], rel=1e-6)


def test_the_difference_of_compare_is_the_gates_gain(compared, verdict):
    assert compared["gain"] == pytest.approx(verdict.candidate["elbo_gain"], rel=1e-4)
    expected = verdict.candidate["elbo_gain_lower"], verdict.candidate["elbo_gain_upper"]
    assert compared["gain_interval"] == pytest.approx(expected, rel=1e-4)
    assert compared["a"]["elbo"] == pytest.approx(verdict.baseline["elbo"], rel=1e-6)
    assert compared["b"]["elbo"] == pytest.approx(verdict.candidate["elbo"], rel=1e-6)
    assert {name: label["images"] for name, label in compared["labels"].items()} == {"cat": 13, "dog": 13}
    assert sum(label["gain"] / 2 for label in compared["labels"].values()) == pytest.approx(compared["gain"])
    assert compared["better"] == ("B" if expected[0] > 0 else "A" if expected[1] < 0 else None)


def test_the_difference_changes_its_sign_with_the_order(call, data, compared):
    other = call("compare", NEW, OLD, f"--data={data}", "--json").facts
    assert other["gain"] == pytest.approx(-compared["gain"])
    assert {compared["better"], other["better"]} in ({"A", "B"}, {None})


def test_a_model_is_the_same_as_itself(call, data):
    ran = call("compare", OLD, OLD, f"--data={data}")
    assert "A and B are the same on each of 26 paired images" in ran.out


def test_the_other_split_is_measured_too(call, data):
    assert call("evaluate", "served", f"--data={data}", "--split=train", "--json").facts["images"] == 12


def test_the_text_has_the_numbers_and_standard_error_nothing(call, data):
    facts = call("evaluate", NEW, f"--data={data}", "--json").facts
    ran = call("evaluate", NEW, f"--data={data}")
    assert ran.err == ""
    lower, upper = facts["elbo_interval"]
    for text in (f"{facts['elbo']:.2f}", f"{lower:.2f} to {upper:.2f}", "26 images", "cat", "dog", "Bernoulli"):
        assert text in ran.out


def test_a_probability_of_pixels_has_bits_per_dimension(call, data, tmp_path):
    config = TrainConfig(**{**RECIPE.to_dict(), "decoder": "DiscretizedLogisticMLP"})
    facts = call("evaluate", push(tmp_path, 1, SHAPE, config), f"--data={data}", "--json").facts
    assert facts["bits_per_dim"] == pytest.approx(-facts["elbo"] / SHAPE.size / 0.6931471805599453)


def test_models_in_other_units_are_not_compared(call, data, tmp_path):
    config = TrainConfig(**{**RECIPE.to_dict(), "eval_samples": 7})
    ran = call("compare", OLD, push(tmp_path, 1, SHAPE, config), f"--data={data}", f"--output={tmp_path}/page")
    assert ran.code == 2
    assert "K = 7" in ran.err
    assert not (tmp_path / "page").exists()


def test_images_of_another_shape_are_refused_or_fitted(call, data, tmp_path):
    model = push(tmp_path, 1, Shape(4, 4, 3))
    refused = call("evaluate", model, f"--data={data}")
    assert refused.code == 2
    assert "expected 4x4x3, got '8x6x3'" in refused.err
    assert call("evaluate", model, f"--data={data}", "--image-shape=8x8x3").code == 2
    assert call("evaluate", model, f"--data={data}", "--image-shape=4x4x3", "--json").facts["images"] == COUNT


def test_what_ingestion_refuses_is_refused(call, tmp_path):
    assert call("evaluate", "served", f"--data={tmp_path}/nothing").code == 2


def test_one_span_is_evaluated_by_its_path(call, tmp_path):
    ran = call("evaluate", "served", f"--data={tmp_path}/{{SPAN}}")
    assert ran.code == 2
    assert ran.err.startswith("vaeiaf: data: expected the path of one span, got ")


def test_the_page_and_its_pictures_are_written_together(call, data, tmp_path, faults_of):
    output = tmp_path / "comparison"
    facts = call("compare", OLD, NEW, f"--data={data}", f"--output={output}", "--json").facts
    assert facts["page"] == str(output / "index.html")
    names = {"index.html", "reconstructions.png", "samples-a.png", "samples-b.png"}
    assert {path.name for path in output.iterdir()} == names
    height = {path.name: tf.io.decode_png(path.read_bytes()).shape[0] for path in output.glob("*.png")}
    assert height == {"reconstructions.png": 3 * 8, "samples-a.png": 4 * 8, "samples-b.png": 4 * 8}
    page = (output / "index.html").read_text()
    assert f"{facts['gain']:+.2f}" in page
    assert page.count("data:image/png;base64,") == 3
    assert faults_of(output / "index.html") == []
    assert call("compare", OLD, NEW, f"--data={data}", f"--output={output}").code == 2  # nothing is replaced
    assert pathlib.Path(output, "index.html").read_text() == page
