"""StrictExampleValidator: an anomaly in the data stops the run before the training."""

import os
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import io_utils

from components.artifacts import Artifacts
from components.ingest.schema import SOURCE
from trainer.errors import UserError


class Executor(executor.Executor):
    """TFX's executor, which also raises an error for anomalies."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> Any:
        """Validates every split.

        Raises:
          UserError: there is an anomaly; the message names its split and feature.
        """
        result = super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict[specs.ANOMALIES_KEY])
        found = [
            f"split {split}: {sentence}"
            for split in artifact_utils.decode_split_names(artifact.split_names)
            for sentence in anomaly_sentences(_read(artifact, split))
        ]
        if found:
            schema = artifact_utils.get_single_instance(input_dict[specs.SCHEMA_KEY]).get_string_custom_property(SOURCE)
            raise UserError(
                f"the data do not fit the schema {schema}: {'; '.join(found)}",
                value=found,
                remedy="Repair the data, or change the schema if it is outdated; nothing was trained",
            )
        return result


class StrictExampleValidator(component.ExampleValidator):
    """ExampleValidator that fails on an anomaly."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def anomaly_sentences(anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """Describes each anomaly in a sentence with its feature's name.

    That a split is empty is none: ImageExampleGen knows where it may be, in a small span.
    """
    sentences = [
        f"feature {'.'.join(info.path.step) or name}: {info.short_description} ({info.description})"
        for name, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        sentences.append(anomalies.dataset_anomaly_info.description)
    return sentences


def _read(artifact: types.Artifact, split: str) -> anomalies_pb2.Anomalies:
    path = os.path.join(artifact_utils.get_split_uri([artifact], split), executor.DEFAULT_FILE_NAME)
    return anomalies_pb2.Anomalies.FromString(io_utils.read_bytes_file(path))
