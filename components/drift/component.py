"""Drift: compares the data of a run with others, before anything is trained on them."""

import os
import pathlib
from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.utils import path_utils

from components.artifacts import Artifacts
from components.drift.compare import Comparator
from components.drift.findings import PAGE, write_findings
from components.drift.measure import Side, measure, shapes_of
from components.drift.names import SENTENCE
from components.drift.page import render
from components.ingest.properties import span_name


class DriftFindings(types.Artifact):
    """A folder with the findings, and a page that shows them."""

    TYPE_NAME = "VaeIafDrift"


class DriftSpec(component_spec.ComponentSpec):
    """The component's inputs, parameters and output."""

    PARAMETERS: ClassVar = {
        "comparator": component_spec.ExecutionParameter(type=str),
        "current_words": component_spec.ExecutionParameter(type=str),
        "reference_words": component_spec.ExecutionParameter(type=str),
        "allowed": component_spec.ExecutionParameter(type=float),
    }
    INPUTS: ClassVar = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "reference_examples": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
        "reference_statistics": component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics, optional=True
        ),
        "baseline": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS: ClassVar = {"drift": component_spec.ChannelParameter(type=DriftFindings)}


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor that measures in Beam and writes the findings."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Compares the two sides.

        Raises:
          UserError: they, or they and the served model, have other shapes.
        """
        artifact = artifact_utils.get_single_instance(output_dict["drift"])
        folder = artifact.uri
        os.makedirs(folder, exist_ok=True)
        served = input_dict.get("baseline") or []
        comparator = Comparator(exec_properties["comparator"])

        def side(words: str, prefix: str = "") -> Side:
            examples, made = (input_dict.get(prefix + key) or [] for key in ("examples", "statistics"))
            span = span_name(examples[0]) if len(examples) == 1 and comparator == Comparator.DRIFT else ""
            return Side(" ".join(filter(None, [exec_properties[words], span])), examples, made)

        current, reference = side("current_words"), side("reference_words", "reference_")
        if comparator == Comparator.DRIFT and len(shapes_of(current, reference)) > 1:
            reference = reference._replace(examples=[], statistics=[])  # spans of one run are checked together
        findings = measure(
            current,
            reference,
            comparator,
            exec_properties["allowed"],
            path_utils.serving_model_path(served[0].uri) if served else None,
            folder,
            self._make_beam_pipeline,
        )
        write_findings(findings, folder)
        pathlib.Path(folder, PAGE).write_text(render(findings))
        artifact.set_string_custom_property(SENTENCE, findings.sentence)


class Drift(base_beam_component.BaseBeamComponent):
    """Comparison of the statistics of two sets of Examples, and of the served model's ELBO on their test images.

    Args:
      comparator: TFDV's comparator.
      words: what the data and the reference are, for messages; a span's name is added.
      allowed: divergence that is no drift, bits, beside what chance alone gives.
      channels: the inputs of `DriftSpec`; `baseline` is the served model, if there is one.
    """

    SPEC_CLASS = DriftSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self, comparator: Comparator, words: tuple[str, str], allowed: float, **channels: types.BaseChannel
    ) -> None:
        spec = DriftSpec(
            comparator=str(comparator),
            current_words=words[0],
            reference_words=words[1],
            allowed=allowed,
            drift=types.Channel(type=DriftFindings),
            **channels,
        )
        super().__init__(spec=spec)
