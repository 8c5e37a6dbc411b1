"""Cells that two samples share, and the share of each sample in them.

A number's cells are the intervals between quantiles of both samples together, from TFDV's histograms of equal shares; a
label's cells are its classes. So every cell is about equally full, which the law of chance (`components.drift.chance`)
needs and TFDV's own histograms of equal widths are not: an outlier would move all their borders.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

CELLS = 10  # of a number
FEWEST = 5  # images of the smaller sample that a cell holds on average, so that the law of chance holds
AT_ONCE = 2**20  # pairs of a border and a range in memory together: many spans have many of both
OTHERS, NOT_FINITE = "others", "not finite"


class Sample(NamedTuple):
    """The values of one feature in one set of images: numbers by ranges, or labels."""

    low: np.ndarray  # [R] float64, the least value of each range
    high: np.ndarray  # [R] float64, the largest one
    counts: np.ndarray  # [R] float64, images in it
    not_finite: float  # images with NaN or infinity
    labels: Mapping[str, float]  # images of each label

    @property
    def size(self) -> float:
        """The number of images."""
        return float(self.counts.sum() + self.not_finite + sum(self.labels.values()))


class Cells(NamedTuple):
    """The same cells of two samples."""

    edges: list[float]  # of a number: the borders of its finite cells
    names: list[str]  # of the cells that are no interval: labels, or values that are not finite
    current: list[float]  # images in each cell: intervals, then those with names
    reference: list[float]


def sample(features: Iterable[statistics_pb2.FeatureNameStatistics]) -> Sample:
    """Returns the sample of one feature from its statistics in each split."""
    ranges, not_finite, labels = [np.zeros([0, 3])], 0.0, Counter[str]()
    for feature in features:
        labels.update({bucket.label: bucket.sample_count for bucket in feature.string_stats.rank_histogram.buckets})
        for histogram in feature.num_stats.histograms:
            if histogram.type == statistics_pb2.Histogram.QUANTILES:
                found = np.array([[b.low_value, b.high_value, b.sample_count] for b in histogram.buckets])
                finite = np.isfinite(found.reshape(-1, 3)).all(axis=1)
                ranges.append(found.reshape(-1, 3)[finite])
                not_finite += float(histogram.num_nan + found.reshape(-1, 3)[~finite, 2].sum())
    low, high, counts = np.concatenate(ranges).T
    return Sample(low, high, counts, not_finite, dict(labels))


def shared_cells(current: Sample, reference: Sample) -> Cells:
    """Returns the cells of two samples of numbers, or of two samples of labels."""
    if current.labels or reference.labels:
        return _of_labels(current.labels, reference.labels)
    edges = _edges(current, reference)
    columns = [np.diff(_below(of, edges)).tolist() for of in (current, reference)]
    if not current.not_finite and not reference.not_finite:
        return Cells(edges.tolist(), [], *columns)
    return Cells(edges.tolist(), [NOT_FINITE], columns[0] + [current.not_finite], columns[1] + [reference.not_finite])


def _edges(current: Sample, reference: Sample) -> np.ndarray:
    """Returns borders between which both samples together are split into equal shares, as far as ties allow.

    A cell has its upper border, not its lower one. So the lowest is below every value.
    """
    low, high, counts = (np.concatenate(pair) for pair in zip(current[:3], reference[:3], strict=True))
    both = Sample(low, high, counts, 0.0, {})
    borders = np.unique([both.low, both.high])
    below = _below(both, borders)
    count = int(np.clip(min(current.size, reference.size) // FEWEST, 2, CELLS))
    wanted = below[-1] * np.arange(1, count) / count if len(borders) else np.zeros(0)
    inner = borders[np.searchsorted(below, wanted * (1 - 1e-9))] if len(borders) else borders
    return np.concatenate([np.nextafter(borders[:1], -np.inf), np.unique([*inner, *borders[-1:]])])


def _below(of: Sample, borders: np.ndarray) -> np.ndarray:
    """Returns the number of values that are at most each of `borders`; within a range they are evenly spread."""
    parts = -(-len(borders) * len(of.low) // AT_ONCE)
    return np.concatenate([_below_some(of, some) for some in np.array_split(borders, max(1, parts))])


def _below_some(of: Sample, borders: np.ndarray) -> np.ndarray:
    width = of.high - of.low
    into = borders[:, None] - of.low
    share = np.where(width > 0, np.clip(into / np.where(width > 0, width, 1.0), 0.0, 1.0), into >= 0)
    return share @ of.counts


def _of_labels(current: Mapping[str, float], reference: Mapping[str, float]) -> Cells:
    """Returns the classes, of which the rarest are one cell."""
    sizes = sum(current.values()), sum(reference.values())
    total, least = sum(sizes), min(sizes)
    both = Counter(current) + Counter(reference)
    order = sorted(both, key=lambda label: (-both[label], label))
    common = list(itertools.takewhile(lambda label: both[label] * least >= FEWEST * total, order))
    columns = [[float(of.get(label, 0.0)) for label in common] for of in (current, reference)]
    if rest := order[len(common) :]:
        for column, of in zip(columns, (current, reference), strict=True):
            column.append(float(sum(of.get(label, 0.0) for label in rest)))
        common.append(OTHERS if len(rest) > 1 else rest[0])
    return Cells([], common, *columns)


def shares(counts: Sequence[float]) -> np.ndarray:
    """Returns counts as shares of their sum."""
    return np.array(counts) / max(sum(counts), 1e-300)
