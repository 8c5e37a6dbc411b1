import math

import numpy as np
import pytest
from tensorflow_model_analysis.metrics import metric_types

from components.gate.extremes import KEPT, Extremes, ImageELBO, extremes, outermost
from components.gate.extremes_metric import ExtremeImages
from components.gate.metric import BASELINE, CANDIDATE

COUNT = 300


@pytest.fixture(scope="module")
def images():
    """Images of which many have the same ELBO."""
    rng = np.random.default_rng(0)
    return [ImageELBO(float(elbo), i, float(elbo) + 30.0, 30.0) for i, elbo in enumerate(rng.integers(0, 40, COUNT))]


@pytest.mark.parametrize("count", [0, 1, 2, KEPT, 2 * KEPT - 1, 2 * KEPT, COUNT])
def test_the_ends_are_those_of_all_images_in_order_and_share_none(images, count):
    ordered = sorted(images[:count], key=lambda image: (image.elbo, image.fingerprint))
    found = extremes(images[:count])
    assert [*found.worst] == ordered[: len(found.worst)]
    assert [*found.best] == ordered[::-1][: len(found.best)]
    assert len(found.worst) + len(found.best) == min(count, 2 * KEPT)
    assert 0 <= len(found.best) - len(found.worst) <= 1


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_merging_gives_the_same(images, seed):
    rng = np.random.default_rng(seed)
    mixed = [images[i] for i in rng.permutation(COUNT)]
    a, b, c = (mixed[start::3] for start in range(3))
    left = outermost(outermost(outermost(a) + outermost(b)) + outermost(c))
    right = outermost(outermost(a) + outermost(outermost(b) + outermost(c)))
    assert left == right == outermost(images)


def outputs(image):
    return {name: np.array([value]) for name, value in image._asdict().items()}


def combine(images, parts):
    """The metric beside a baseline that finds every image as good, accumulated in `parts` accumulators."""
    (computation,) = ExtremeImages().computations(model_names=[CANDIDATE, BASELINE])
    combiner, accumulators = computation.combiner, []
    for rows in np.array_split(np.arange(len(images)), parts):
        accumulator = combiner.create_accumulator()
        for i in rows:
            predictions = {CANDIDATE: outputs(images[i]), BASELINE: outputs(images[i]._replace(elbo=0.0))}
            accumulator = combiner.add_input(accumulator, metric_types.StandardMetricInputs(predictions=predictions))
        accumulators.append(accumulator)
    result = combiner.extract_output(combiner.merge_accumulators(accumulators))
    assert set(result) == set(computation.keys)
    (value,) = result.values()
    return Extremes.from_json(value)


@pytest.mark.parametrize("parts", [1, 7])
def test_the_metric_keeps_the_ends_of_the_candidate(images, parts):
    assert combine(images, parts) == extremes(images)


def test_an_image_whose_elbo_is_no_number_is_the_worst(images):
    odd = ImageELBO(math.nan, COUNT, math.nan, 30.0)
    (first, *rest) = combine([*images, odd], 3).worst
    assert (first.elbo, first.fingerprint) == (-math.inf, COUNT)
    assert rest == [*extremes(images).worst[:-1]]
