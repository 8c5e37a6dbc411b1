"""Compares two sets of images by TFDV's comparators, whose thresholds allow for chance."""

import enum
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.drift.bins import Cells, sample, shared_cells
from components.drift.chance import by_chance
from components.ingest.numbers import NUMBERS

ELBO, GAP, LABEL = "elbo", "elbo_gap", "label"  # GAP: how far the ELBO is below its ceiling
FIGURES = (*NUMBERS, ELBO, GAP, LABEL)  # features that are compared, where both sides have them
UNITS = {
    "entropy": "bits",
    "bytes": "of the encoded image",
    ELBO: "nats per image",
    GAP: "nats per image",
}  # of figures that have one
FOUND = anomalies_pb2.AnomalyInfo.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH


class Comparator(enum.StrEnum):
    """TFDV's comparators."""

    DRIFT = "drift"  # with earlier data
    SKEW = "skew"  # with the data that a model serves


class Figure(NamedTuple):
    """The comparison of one feature."""

    name: str  # one of FIGURES
    divergence: float  # Jensen-Shannon divergence, bits, in [0, 1]
    threshold: float  # divergence beyond which the feature has drifted: what is allowed, and `chance`
    chance: float  # part of the threshold that samples of these sizes need
    drifted: bool
    cells: Cells

    @property
    def unit(self) -> str:
        """The unit of the feature; empty if it has none."""
        return UNITS.get(self.name, "")


def compare(
    current: Iterable[statistics_pb2.DatasetFeatureStatistics],
    reference: Iterable[statistics_pb2.DatasetFeatureStatistics],
    comparator: Comparator,
    allowed: float,
) -> list[Figure]:
    """Compares each of `FIGURES` that both sides have.

    Args:
      current: statistics of each part of the one side.
      reference: statistics of each part of the other side.
      comparator: TFDV's comparator.
      allowed: divergence that is no drift, bits, beside what chance alone gives.
    """
    ours, theirs = _features(current), _features(reference)
    found = {
        name: shared_cells(sample(ours[name]), sample(theirs[name]))
        for name in FIGURES
        if name in ours.keys() & theirs.keys()
    }
    chances = {
        name: by_chance(len(cells.current), sum(cells.current), sum(cells.reference), len(found))
        for name, cells in found.items()
    }
    measured = _by_tfdv(found, {name: allowed + chance for name, chance in chances.items()}, comparator)
    return [Figure(name, *measured[name][:2], chances[name], measured[name][2], cells) for name, cells in found.items()]


def has_labels(parts: Iterable[statistics_pb2.DatasetFeatureStatistics]) -> bool:
    """Tells whether an image of the parts has a label."""
    return LABEL in _features(parts)


def _features(
    parts: Iterable[statistics_pb2.DatasetFeatureStatistics],
) -> dict[str, list[statistics_pb2.FeatureNameStatistics]]:
    """Returns the statistics of each of `FIGURES` in each part that has it."""
    found: dict[str, list[statistics_pb2.FeatureNameStatistics]] = {}
    for part in parts:
        for feature in part.features:
            if (name := ".".join(feature.path.step)) in FIGURES:
                found.setdefault(name, []).append(feature)
    return found


def _by_tfdv(
    cells: dict[str, Cells], thresholds: dict[str, float], comparator: Comparator
) -> dict[str, tuple[float, float, bool]]:
    """Returns the divergence of each feature, its threshold, and whether it is beyond that."""
    schema = schema_pb2.Schema()
    for name, threshold in thresholds.items():
        feature = schema.feature.add(name=name, type=schema_pb2.BYTES)
        compared = feature.drift_comparator if comparator == Comparator.DRIFT else feature.skew_comparator
        compared.jensen_shannon_divergence.threshold = min(threshold, 1.0)
    against = "previous_statistics" if comparator == Comparator.DRIFT else "serving_statistics"
    anomalies = tfdv.validate_statistics(
        _statistics({name: of.current for name, of in cells.items()}),
        schema,
        **{against: _statistics({name: of.reference for name, of in cells.items()})},
    )
    drifted = {
        ".".join(info.path.step)
        for info in anomalies.anomaly_info.values()
        if any(r.type == FOUND for r in info.reason)
    }
    return {name: (*measured, name in drifted) for name, measured in _measurements(anomalies)}


def _measurements(anomalies: anomalies_pb2.Anomalies) -> Iterator[tuple[str, tuple[float, float]]]:
    for info in anomalies.drift_skew_info:
        for measured in (*info.drift_measurements, *info.skew_measurements):
            yield ".".join(info.path.step), (measured.value, measured.threshold)


def _statistics(counts: dict[str, list[float]]) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Returns statistics in which the cells of each feature are categories, as TFDV compares them one by one."""
    found = statistics_pb2.DatasetFeatureStatisticsList()
    images = int(max((sum(of) for of in counts.values()), default=0))
    dataset = found.datasets.add(num_examples=images)
    for name, of in counts.items():
        feature = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
        feature.path.step.append(name)
        common = feature.string_stats.common_stats
        common.num_non_missing = common.tot_num_values = int(sum(of))
        common.min_num_values = common.max_num_values = 1
        feature.string_stats.unique = len(of)
        for cell, count in enumerate(of):
            if count > 0:  # TFDV refuses others
                feature.string_stats.rank_histogram.buckets.add(
                    low_rank=cell, high_rank=cell, label=str(cell), sample_count=count
                )
    return found
