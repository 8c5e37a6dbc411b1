"""The task of a container."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from kubeflow.spec.cluster import Cluster
from pipeline.settings import PipelineConfig
from trainer.failure import FILE


class Task(NamedTuple):
    """One node of a run."""

    node: str  # TFX's id, or VERDICT
    run_id: str
    cluster: Cluster
    config: PipelineConfig
    executor_input: Mapping[str, Any]  # of Kubeflow, with the addresses of outputs

    @property
    def log_file(self) -> str:
        """Path of the log, on the volume."""
        return os.path.join(self.config.root, "logs", self.run_id, f"{self.node}.log")

    @property
    def error_file(self) -> str:
        """Path of the failure, beside the log."""
        return f"{self.log_file.removesuffix('.log')}.{FILE}"
