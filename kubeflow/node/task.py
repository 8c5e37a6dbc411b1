"""What a container is asked to do."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kubeflow.spec.cluster import Cluster
from pipeline.settings import PipelineConfig


class Task(NamedTuple):
    """One node of a run."""

    node: str  # TFX's id, or VERDICT
    run_id: str
    cluster: Cluster
    config: PipelineConfig
    executor_input: Mapping[str, Any]  # of Kubeflow, which says where outputs go
