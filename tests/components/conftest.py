"""Runs TFX nodes by the pipeline's launcher; a small exported model, for tests that only read it."""

import datetime
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from tfx.dsl.compiler import constants
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import runtime_parameter_utils

from pipeline.beam.arguments import BEAM_ARGS
from pipeline.dag import compile_pipeline
from pipeline.local import launch_node
from pipeline.state.database import sqlite_connection
from pipeline.state.metadata import Metadata
from toy_data import png, serialized
from trainer.export import Servable, save
from trainer.images import ImageSet, pixel_model, preprocessing
from trainer.model.build import build
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.units import Units
from trainer.warmup import IMAGES

SHAPE = Shape(32, 32, 3)


@pytest.fixture
def run_nodes(tmp_path) -> Callable[[list[BaseNode]], pathlib.Path]:
    """Runs the nodes in order, with a metadata database of their own, and returns the folder of their artifacts."""

    def run(nodes: list[BaseNode]) -> pathlib.Path:
        pipeline = Pipeline(
            pipeline_name="test",
            pipeline_root=str(tmp_path / "artifacts"),
            components=nodes,
            enable_cache=True,
            beam_pipeline_args=[*BEAM_ARGS],
        )
        ir = compile_pipeline(pipeline)
        run_id = {constants.PIPELINE_RUN_ID_PARAMETER_NAME: datetime.datetime.now().isoformat()}
        runtime_parameter_utils.substitute_runtime_parameter(ir, run_id)
        lineage = Metadata(sqlite_connection(str(tmp_path / "mlmd.sqlite")), str(tmp_path))
        for node in ir.nodes:
            launch_node(ir, node.pipeline_node, lineage, str(tmp_path / "training"))
        return tmp_path / "artifacts"

    return run


@pytest.fixture(scope="session")
def tiny() -> TrainConfig:
    """The recipe of `exported`."""
    return TrainConfig(
        hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=3, eval_samples=2, importance_samples=0
    )


@pytest.fixture(scope="session")
def exported(tiny, tmp_path_factory) -> pathlib.Path:
    """The SavedModel of an untrained model, with its warm-up requests."""
    path = tmp_path_factory.mktemp("exported") / "Format-Serving"
    grey = ImageSet(np.full([1, *SHAPE], 128, np.uint8), np.zeros([1], np.int64))
    save(
        Servable(build(tiny, SHAPE), pixel_model(grey), 2, preprocessing(SHAPE), SHAPE),
        Units.of(tiny, SHAPE),
        str(path),
        [serialized(f"id_{i}", png(i), 0) for i in range(IMAGES)],
    )
    return path
