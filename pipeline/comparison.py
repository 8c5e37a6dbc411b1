"""Compares two sets of images that no run ingested."""

import dataclasses
import os
import re
import tempfile
from collections.abc import Sequence

import apache_beam as beam

from components.drift.compare import Comparator
from components.drift.findings import Findings
from components.drift.measure import Side, measure
from pipeline.beam.arguments import BEAM_ARGS
from pipeline.beam.operator import own_temporary_folder
from pipeline.examples import examples_of, statistics_of
from pipeline.settings import DATASET, PipelineConfig
from trainer.errors import UserError


def compare_data(pair: Sequence[str], config: PipelineConfig, model: str | None) -> Findings:
    """Ingests two sets of images into a temporary folder, and compares them.

    Args:
      pair: path or TFDS name of each.
      config: how they are ingested, and what is allowed.
      model: path of the SavedModel that gives the ELBO, or None.

    Raises:
      UserError: there are no such data, or they cannot be compared.
    """
    of_a, of_b = [_named(data, config) for data in pair]
    with own_temporary_folder(), examples_of(of_a) as a, examples_of(of_b) as b:
        current, reference = (
            Side(words, [examples], [statistics_of(examples)]) for words, examples in zip(pair, (a, b), strict=True)
        )
        folder = tempfile.mkdtemp()
        return measure(current, reference, Comparator.DRIFT, config.drift_threshold, model, folder, _pipeline)


def _named(data: str, config: PipelineConfig) -> PipelineConfig:
    """Returns the run of one side.

    Raises:
      UserError: there are no such data.
    """
    if os.path.exists(data):
        return dataclasses.replace(config, data=data)
    if re.match(DATASET, data):
        return dataclasses.replace(config, dataset=data)
    raise UserError(f"{data} does not exist, and is no name of a TFDS data set", value=data, remedy="Check the path")


def _pipeline() -> beam.Pipeline:
    return beam.Pipeline(argv=[*BEAM_ARGS])
