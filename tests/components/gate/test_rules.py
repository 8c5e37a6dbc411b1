"""The gate's rules through the real Evaluator, on models that have any ELBO that a test wants."""

import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.gate.verdict import read_verdict
from evaluator import evaluate, write_examples

INDEPENDENT, CEILING = -2117.82, -1685.03
COUNT = 200  # images, half of each label
TEXTS, NUMBERS = ("<c\u00e4t>", "10"), (3, 0)  # labels; earlier code wrote numbers


def standardized(seed):
    """COUNT numbers with mean 0 and standard deviation 1, over all images and over each label's."""
    halves = np.random.default_rng(seed).normal(size=[2, COUNT // 2])
    return ((halves - halves.mean(axis=1, keepdims=True)) / halves.std(axis=1, keepdims=True)).T.ravel()


def serialize(label, side, ease, luck):
    number = isinstance(label, int)
    features = {
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
        if number
        else tf.train.Feature(bytes_list=tf.train.BytesList(value=[label.encode()])),
        "side": tf.train.Feature(float_list=tf.train.FloatList(value=[side])),
        "ease": tf.train.Feature(float_list=tf.train.FloatList(value=[ease])),
        "luck": tf.train.Feature(float_list=tf.train.FloatList(value=[luck])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


class Says(tf.Module):
    """A model whose ELBO is `elbo` on average, `side` nats better on the first label, and varies by its own `luck`."""

    def __init__(self, elbo, luck=0.0, side=0.0):
        super().__init__()
        self.elbo, self.luck, self.side = (tf.Variable(v, dtype=tf.float32) for v in (elbo, luck, side))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def evaluate(self, examples):
        names = ("side", "ease", "luck")
        image = tf.io.parse_example(examples, {name: tf.io.FixedLenFeature([], tf.float32) for name in names})
        elbo = self.elbo + 20.0 * image["ease"] + self.luck * image["luck"] + self.side * image["side"]
        return {
            "elbo": elbo,
            "reconstruction": elbo + 30.0,
            "kl": tf.fill(tf.shape(elbo), 30.0),
            "independent_pixels": tf.fill(tf.shape(elbo), INDEPENDENT),
            "ceiling": tf.fill(tf.shape(elbo), CEILING),
            "fingerprint": tf.fill(tf.shape(elbo), tf.constant(2**31 - 2, tf.int64)),
        }


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """The verdict on a candidate, beside a baseline if there is one, both given as arguments of Says."""
    numbers = list(zip(standardized(0), standardized(1), strict=True))
    examples = {}
    for labels in (TEXTS, NUMBERS):
        records = [serialize(labels[i % 2], (1, -1)[i % 2], ease, luck) for i, (ease, luck) in enumerate(numbers)]
        examples[labels] = write_examples(tmp_path_factory.mktemp("examples") / "examples", records)
    done = {}

    def says(folder, arguments):
        model, artifact = Says(**arguments), standard_artifacts.Model()
        artifact.uri = str(folder)
        tf.saved_model.save(model, str(folder / "Format-Serving"), signatures={"evaluate": model.evaluate})
        return artifact

    def run(candidate, baseline=None, labels=TEXTS, **rules):
        key = json.dumps([candidate, baseline, labels, rules])
        if key not in done:
            folder = tmp_path_factory.mktemp("verdict")
            other = baseline and says(folder / "baseline", baseline)
            model = says(folder / "candidate", candidate)
            run.evaluation, done[key] = evaluate(folder, examples[labels], model, other, **rules)
        return done[key]

    return run


FIRST = ({"elbo": -1847.77},)
LABELS, WORST_LABEL = ({"elbo": -1900.0, "side": 50.0},), {"min_label_elbo": -1940.0}
OTHER = {"elbo": -1900.0}
BETTER = ({"elbo": -1850.0, "luck": 2.0}, OTHER)
WITHIN = ({"elbo": -1900.5, "luck": 3.0}, OTHER)  # half width 0.42
SAME = ({"elbo": -1900.0, "luck": 3.0}, {"elbo": -1900.0, "luck": 3.0})

BROKEN = "the test-set ELBO is {}, not a finite number: the model is broken"
INDEPENDENCE = (
    "the test-set ELBO -2200.00 is not above -2117.82 nats per image, the log-likelihood of independent pixels with "
    "the training images' moments"
)
REGRESSION = (
    "the test-set ELBO is {}, the last blessed model's -1900.00 nats per image; the gain over 200 paired images is {}, "
    "with 95 % confidence between {} and {}: "
)
WORSE = "worse by more than the {} allowed"
WIDE = (
    "this interval is too wide to exclude a loss of more than the 1.00 allowed; more test images narrow it, and so do "
    "more draws (--eval-samples) in a new series with another --root"
)
CASES = {
    "above independent pixels": (FIRST, {}, []),
    "above a bound of one's own": (({"elbo": -2200.0},), {"min_elbo": -2300.0}, []),
    "below a bound of one's own": (
        ({"elbo": -1900.0},),
        {"min_elbo": -1850.0},
        ["the test-set ELBO -1900.00 is below the bound -1850.00 nats per image"],
    ),
    "nan": (({"elbo": math.nan},), {}, [BROKEN.format("nan")]),
    "nan and a bound of one's own": (({"elbo": math.nan},), {"min_elbo": -3000.0}, [BROKEN.format("nan")]),
    "nan beside a baseline": (({"elbo": math.nan}, OTHER), {}, [BROKEN.format("nan")]),
    "infinite": (({"elbo": math.inf},), {}, [BROKEN.format("inf")]),
    "above the ceiling": (
        ({"elbo": -1600.0},),
        {},
        [
            "the test-set ELBO -1600.00 is above -1685.03 nats per image, the largest value possible with this "
            "likelihood and these images: the number is wrong"
        ],
    ),
    "better": (BETTER, {}, []),
    "surely within the allowed regression": (WITHIN, {}, []),
    "the same, no regression allowed": (SAME, {"max_regression": 0.0}, []),
    "worse": (
        ({"elbo": -1910.0, "luck": 3.0}, OTHER),
        {"max_regression": 2.0},
        [REGRESSION.format("-1910.00", "-10.00", "-10.42", "-9.58") + WORSE.format("2.00")],
    ),
    "perhaps better": (
        ({"elbo": -1899.5, "luck": 20.0}, OTHER),
        {},
        [REGRESSION.format("-1899.50", "+0.50", "-2.28", "+3.28") + WIDE],
    ),
    "perhaps worse": (
        ({"elbo": -1901.5, "luck": 20.0}, OTHER),
        {},
        [REGRESSION.format("-1901.50", "-1.50", "-4.28", "+1.28") + WIDE],
    ),
    "two broken rules": (
        ({"elbo": -2200.0}, OTHER),
        {},
        [INDEPENDENCE, REGRESSION.format("-2200.00", "-300.00", "-300.00", "-300.00") + WORSE.format("1.00")],
    ),
    "a label below its bound": (
        LABELS,
        WORST_LABEL,
        ["the ELBO -1950.00 over the 100 test images of label 10 is below the bound -1940.00 nats per image"],
    ),
    "labels outside the other bounds": (({"elbo": -1900.0, "side": 250.0},), {"min_elbo": -1950.0}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_rules_decide_with_these_reasons(judge, case):
    models, rules, reasons = CASES[case]
    verdict = judge(*models, **rules)
    assert verdict.reasons == reasons
    assert verdict.blessed == (not reasons)


def test_a_first_model_has_no_gain(judge):
    verdict = judge(*FIRST)
    assert verdict.baseline is None
    assert verdict.candidate["images"] == COUNT
    assert "elbo_gain" not in verdict.candidate


def test_values_survive_the_way_through_tfma(judge):
    candidate = judge(*FIRST).candidate
    assert candidate["elbo"] == pytest.approx(-1847.77, abs=1e-3)
    assert candidate["reconstruction"] - candidate["kl"] == pytest.approx(candidate["elbo"], abs=1e-3)
    assert candidate["data_fingerprint"] == COUNT * (2**31 - 2)


@pytest.mark.parametrize(("models", "gain", "luck"), [(BETTER, 50.0, 2.0), (WITHIN, -0.5, 3.0)])
def test_the_interval_of_the_gain_is_that_of_the_differences_alone(judge, models, gain, luck):
    verdict = judge(*models)
    assert verdict.candidate["elbo_standard_error"] == pytest.approx(math.hypot(20.0, luck) / math.sqrt(199), rel=0.1)
    assert verdict.baseline["elbo"] == pytest.approx(-1900.0, abs=1e-3)
    half = 1.96 * luck / math.sqrt(COUNT - 1)
    assert verdict.candidate["elbo_gain"] == pytest.approx(gain, abs=1e-3)
    assert verdict.candidate["elbo_gain_lower"] == pytest.approx(gain - half, abs=1e-3)
    assert verdict.candidate["elbo_gain_upper"] == pytest.approx(gain + half, abs=1e-3)


def test_every_label_has_its_elbo_and_numbers_come_first(judge):
    verdict = judge(*LABELS, **WORST_LABEL)
    assert list(verdict.labels) == ["10", "<c\u00e4t>"]
    assert verdict.labels["10"]["elbo"] == pytest.approx(-1950.0, abs=1e-3)
    assert verdict.labels["<c\u00e4t>"]["elbo"] == pytest.approx(-1850.0, abs=1e-3)
    assert {metrics["images"] for metrics in verdict.labels.values()} == {COUNT / 2}


def test_an_evaluation_of_earlier_code_is_still_read(judge):
    judge(*LABELS, labels=NUMBERS, min_label_elbo=-1941.0)
    path = pathlib.Path(judge.evaluation.uri, "evidence.json")
    names = ["cat", "dog", "eel", "fox"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": names, "unreadable_images": 7}))
    verdict = read_verdict(judge.evaluation.uri)
    assert list(verdict.labels) == ["0", "3"]
    assert verdict.reasons == [
        "the ELBO -1950.00 over the 100 test images of label 0 is below the bound -1941.00 nats per image"
    ]
    assert verdict.notes == ["7 unreadable images were left out (--max-unreadable)"]
