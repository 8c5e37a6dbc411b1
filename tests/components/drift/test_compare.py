import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import jensenshannon
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.drift.compare import FIGURES, Comparator, compare, has_labels
from components.ingest import statistics

RNG = np.random.default_rng(0)


def of(images=2000, darker=0.0, cats=0.5, **more):
    """Statistics of data with one number and a label."""
    columns = {
        "brightness": RNG.normal(0.5, 0.1, images) - darker,
        "label": np.where(RNG.random(images) < cats, b"cat", b"dog"),
        "id": RNG.random(images),
        **more,
    }
    arrays = [pa.array([[value] for value in column.tolist()]) for column in columns.values()]
    return generate_statistics_in_memory(
        pa.RecordBatch.from_arrays(arrays, list(columns)), statistics.options()
    ).datasets


def drifted(*sides, comparator=Comparator.DRIFT, allowed=0.02):
    return {figure.name for figure in compare(*sides, comparator, allowed) if figure.drifted}


@pytest.mark.parametrize("comparator", list(Comparator))
def test_each_comparator_finds_what_shifted_and_nothing_else(comparator):
    assert drifted(of(), of(), comparator=comparator) == set()
    assert drifted(of(), of(darker=0.1), comparator=comparator) == {"brightness"}
    assert drifted(of(), of(cats=0.8), comparator=comparator) == {"label"}


def test_only_known_figures_that_both_sides_have_are_compared():
    both = {"elbo": RNG.random(2000)}
    found = [figure.name for figure in compare(of(**both), of(**both), Comparator.DRIFT, 0.02)]
    assert found == ["brightness", "elbo", "label"]
    assert set(found) <= set(FIGURES)
    assert [figure.name for figure in compare(of(**both), of(), Comparator.DRIFT, 0.02)] == ["brightness", "label"]


def test_data_have_labels_if_a_part_of_them_has_some():
    with_labels, without = of()[0], statistics_pb2.DatasetFeatureStatistics()
    assert has_labels([without, with_labels])
    assert not has_labels([without])


def test_the_divergence_is_jensen_shannons_of_the_cells_in_bits():
    for figure in compare(of(), of(darker=0.05, cats=0.7), Comparator.SKEW, 0.02):
        shares = figure.cells.current, figure.cells.reference
        assert figure.divergence == pytest.approx(jensenshannon(*shares, base=2) ** 2, rel=1e-6)
        assert figure.threshold == pytest.approx(0.02 + figure.chance)


def test_what_is_allowed_is_beside_what_chance_gives():
    few = of(images=40), of(images=40)
    assert drifted(*few, allowed=0.0) == set()
    shifted = of(), of(darker=0.05)
    assert drifted(*shifted, allowed=0.01) == {"brightness"}
    assert drifted(*shifted, allowed=0.2) == set()
