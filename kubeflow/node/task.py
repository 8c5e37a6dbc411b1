"""The task of a container."""

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.contract import RUN_ID
from kubeflow.spec.parameters import run_config
from kubeflow.spec.tasks import nodes_of
from pipeline.settings import PipelineConfig
from trainer.failure import FILE


class Task(NamedTuple):
    """One task of a run."""

    name: str
    run_id: str
    cluster: Cluster
    config: PipelineConfig
    executor_input: Mapping[str, Any]  # of Kubeflow, with the addresses of outputs

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it runs, one after another: TFX's, and the verdict."""
        return nodes_of(self.name)

    @property
    def log_file(self) -> str:
        """Path of the log, on the volume."""
        return os.path.join(self.config.root, "logs", self.run_id, f"{self.name}.log")

    @property
    def error_file(self) -> str:
        """Path of the failure, beside the log."""
        return f"{self.log_file.removesuffix('.log')}.{FILE}"

    @property
    def attempts_file(self) -> str:
        """Path of the record of attempts, beside the log."""
        return f"{self.log_file.removesuffix('.log')}.attempts.json"


def read_task(arguments: list[str] | None) -> Task:
    """Reads the task from the command line.

    Raises:
      SettingError: a parameter or a setting of the cluster is invalid.
    """
    options, run_id, values = read_options("kubeflow.run_node", arguments)
    options.cluster.pop("nodes", None)  # pods of single nodes, in pipelines of version 0.1; only a compiler needs them
    cluster = Cluster(**options.cluster)
    return Task(options.node, run_id, cluster, run_config(values, cluster), options.executor_input)


def read_options(program: str, arguments: list[str] | None) -> tuple[argparse.Namespace, str, dict[str, Any]]:
    """Returns the options of a container's `program`, the run's id and its parameters, all as Kubeflow gave them."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", allow_abbrev=False)
    parser.add_argument("--node", required=True)
    parser.add_argument("--cluster", required=True, type=json.loads)
    parser.add_argument("--executor-input", required=True, type=json.loads)
    options = parser.parse_args(arguments)
    values = dict(options.executor_input["inputs"]["parameterValues"])
    return options, values.pop(RUN_ID), values
