"""Evaluates exported models on Examples without TFMA: the gate's numbers, in one pass over the images."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from components.gate.sums import COUNT, Metrics, added, metrics, sums
from components.ingest.labels import label_order
from trainer.errors import UserError, reason
from trainer.exported import Exported

NO_LABEL = b""
LABEL = {"label": tf.io.FixedLenFeature([], tf.string, default_value=NO_LABEL)}


class Measured(NamedTuple):
    """The numbers of a model, over the same images as those of its baseline."""

    whole: Metrics  # over all images; the gain is over the baseline
    baseline: Metrics | None  # of the baseline, over all images
    labels: dict[str, Metrics]  # of the model, over the images of each label; empty if there are none


def measure(model: Exported, splits: Sequence[str], baseline: Exported | None = None) -> Measured:
    """Evaluates `model` and, on the same images with the same noise, `baseline`.

    Args:
      model: the model to measure.
      splits: folders of gzipped TFRecord files of Examples. Memory holds a few batches of them.
      baseline: the model that the gain is over.

    Raises:
      UserError: the images cannot be read, or do not fit a model.
    """
    whole, theirs = np.zeros(COUNT), np.zeros(COUNT)
    of_label: dict[str, np.ndarray] = {}
    size = min(found.images_at_once for found in (model, baseline) if found)
    for serialized, labels in _batches(splits, size):
        try:
            outputs = model.evaluate(serialized)
            other = baseline and baseline.evaluate(serialized)
        except tf.errors.InvalidArgumentError as error:
            sentence = f"the images do not fit the model {model.path}: {reason(error)}"
            remedy = f"Fit them with --image-shape {model.shape}, or name a model of their shape"
            raise UserError(sentence, value=[*splits], valid=f"images of {model.shape}", remedy=remedy) from error
        elbo = other["elbo"] if other else None
        whole = added(whole, sums(outputs, elbo))
        theirs = added(theirs, sums(other)) if other else theirs
        for label in np.unique(labels[labels != NO_LABEL]):
            rows = labels == label
            part = {name: value[rows] for name, value in outputs.items()}
            found = sums(part, None if elbo is None else elbo[rows])
            of_label[label.decode()] = added(of_label.get(label.decode(), np.zeros(COUNT)), found)
    return Measured(
        whole=metrics(whole),
        baseline=metrics(theirs) if baseline else None,
        labels={label: metrics(of_label[label]) for label in sorted(of_label, key=label_order)},
    )


def _batches(splits: Sequence[str], size: int) -> Iterator[tuple[tf.Tensor, np.ndarray]]:
    """Yields serialized Examples [B] and their labels [B], NO_LABEL where there is none."""
    files = sorted(file for split in splits for file in tf.io.gfile.glob(os.path.join(split, "*")))
    dataset = tf.data.TFRecordDataset(files, compression_type="GZIP")
    try:
        for serialized in dataset.batch(size).prefetch(1):
            yield serialized, tf.io.parse_example(serialized, LABEL)["label"].numpy()
    except tf.errors.DataLossError as error:
        remedy = "Start again, so that they are ingested anew"
        raise UserError("the images cannot be read", value=[*splits], remedy=remedy, cause=error) from error
