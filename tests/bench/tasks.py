"""Measures what the pods of a run on Kubeflow cost, against a pod for each node."""

import json
import os
import tempfile
from collections.abc import Iterable
from typing import Any

from kubeflow.spec.parameters import parameters
from kubeflow.spec.tasks import TASKS, left_out
from pipeline.settings import PipelineConfig
from tests.bench.process import Finished, run_module
from tests.bench.rows import Row

RUN: dict[str, Any] = {"dataset": "photo_patches", "preset": "smoke", "epochs": 3}


def rows() -> list[Row]:
    """Measures the tasks of a first run and of one that changes nothing, and the nodes of another such run."""
    without = left_out(PipelineConfig(dataset=RUN["dataset"]))
    nodes = [node for stage in TASKS.values() for node in stage.nodes if node not in without]
    with tempfile.TemporaryDirectory() as volume:
        first = pods("first", volume, TASKS)
        pods("second", volume, TASKS)  # judged against the first one's model, so a little is new
        cached = pods("third", volume, TASKS)
        alone = pods("fourth", volume, nodes)
    return [
        *(_row(f"first run, task {name}", [run]) for name, run in zip(TASKS, first, strict=True)),
        _row(f"unchanged run, {len(TASKS)} tasks", cached),
        _row(f"unchanged run, {len(nodes)} tasks of a node each", alone),
    ]


def pods(run: str, volume: str, names: Iterable[str]) -> list[Finished]:
    """Runs the pods' program for these tasks, or nodes, one after another."""
    cluster = {
        "image": "none",
        "namespace": "none",
        "volume": {"claim": "none", "path": volume},
        "database": {"kind": "sqlite"},
    }
    values = {name: found.default for name, found in parameters().items()} | RUN | {"run_id": run}
    told = {"inputs": {"parameterValues": values}, "outputs": {"outputFile": os.path.join(volume, "outputs.json")}}
    arguments = ("--cluster", json.dumps(cluster), "--executor-input", json.dumps(told))
    return [run_module("kubeflow.run_node", "--node", name, *arguments) for name in names]


def _row(name: str, runs: list[Finished]) -> Row:
    seconds, cpu_seconds = sum(run.seconds for run in runs), sum(run.cpu_seconds for run in runs)
    return Row(name, more={"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": max(run.peak_mb for run in runs)})
