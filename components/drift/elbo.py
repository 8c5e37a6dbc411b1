"""TFDV's statistics of the served model's ELBO over test images, computed in Beam.

Most of what distinguishes the ELBOs of two images is how much there is to say of any image with such pixels. The gap to
the largest log-likelihood of the image, its ceiling, is free of that, and shows what the model itself misses.

The ELBO changes with the served model, so it is no feature of the Examples. It is computed for test images only: on
those that it was trained on, a model's ELBO is higher, which would look like drift.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
import tensorflow_data_validation as tfdv
from apache_beam.utils.shared import Shared
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.drift.compare import ELBO, GAP
from components.ingest.statistics import options, parsed

SIGNATURE = "evaluate"
BATCH = 128


def elbo_statistics(pipeline: beam.Pipeline, model: str, examples: Mapping[str, list[str]], folder: str) -> None:
    """Extends `pipeline`, so that it writes statistics of the ELBO to a file in `folder` for each of `examples`.

    Args:
      pipeline: Beam's.
      model: path of the SavedModel.
      examples: name -> folders of Examples, together one side.
      folder: where the statistics are written.
    """
    evaluate = Evaluate(model, Shared())
    for name, splits in examples.items():
        _ = (
            pipeline
            | f"Files[{name}]" >> beam.Create([os.path.join(split, "*") for split in splits])
            | f"Read[{name}]" >> beam.io.ReadAllFromTFRecord()
            | f"Batch[{name}]" >> beam.BatchElements(min_batch_size=BATCH, max_batch_size=BATCH)
            | f"ELBO[{name}]" >> beam.ParDo(evaluate)
            | f"Statistics[{name}]" >> tfdv.GenerateStatistics(options())
            | f"Write[{name}]" >> beam.Map(_write, _path(folder, name))
        )


def read_elbo(folder: str, name: str) -> statistics_pb2.DatasetFeatureStatistics:
    """Undoes the writing of `elbo_statistics`."""
    return parsed(_path(folder, name).read_bytes())


class Evaluate(beam.DoFn):
    """The model's signature `evaluate`: serialized Examples to a batch of their ELBO and its gap, nats per image."""

    def __init__(self, model: str, shared: Shared) -> None:
        self._model, self._shared = model, shared

    def setup(self) -> None:
        """Loads the model, once in a process."""
        self._loaded = self._shared.acquire(lambda: _Loaded(self._model), tag=self._model)

    def process(self, examples: Sequence[bytes]) -> Iterator[pa.RecordBatch]:
        """Yields the columns `ELBO` and `GAP`."""
        found = self._loaded.signature(examples=tf.constant(examples))
        columns = {ELBO: found["elbo"], GAP: found["ceiling"] - found["elbo"]}
        arrays = [
            pa.array([[value] for value in column.numpy().tolist()], pa.list_(pa.float32()))
            for column in columns.values()
        ]
        yield pa.RecordBatch.from_arrays(arrays, list(columns))


class _Loaded:
    """A SavedModel. Beam shares what weak references can refer to."""

    def __init__(self, model: str) -> None:
        self._module = tf.saved_model.load(model)  # its signature does not keep it
        self.signature: Any = self._module.signatures[SIGNATURE]


def _path(folder: str, name: str) -> pathlib.Path:
    return pathlib.Path(folder, f"{ELBO}-{name}.pb")


def _write(found: statistics_pb2.DatasetFeatureStatisticsList, path: pathlib.Path) -> None:
    path.write_bytes(found.SerializeToString())
