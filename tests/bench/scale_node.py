"""A program that runs one node of the pipeline on data that `scale_data` wrote: `scale_node NODE FOLDER`."""

import pathlib
import sys

import apache_beam as beam
import numpy as np
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.drift.compare import Comparator
from components.drift.measure import Side, measure
from components.gate.evaluator import Executor
from components.gate.rules import eval_config
from components.gate.serving_record import FILE, Serving
from components.ingest.shapes import record_shape
from pipeline.beam.arguments import BEAM_ARGS
from pipeline.local import launch_node, plan, site_of
from pipeline.settings import PipelineConfig
from pipeline.state.database import sqlite_connection
from pipeline.state.metadata import Metadata
from tests.bench.scale_data import write_images
from trainer.export import Servable, save
from trainer.images import ImageSet, pixel_model, preprocessing
from trainer.model.build import build
from trainer.presets import PRESETS
from trainer.shape import Shape
from trainer.units import Units

SHAPE = Shape(32, 32, 3)
RUN = "run"


def launch(node: str, folder: pathlib.Path) -> None:
    """Runs a node as a run of the pipeline does, with its checks, digests and records."""
    config = PipelineConfig(data=str(folder / "data"), root=str(folder / "state"), train=PRESETS["smoke"])
    pathlib.Path(config.root).mkdir(exist_ok=True)
    pipeline = plan(config, RUN, site_of(config))
    nodes = {found.pipeline_node.node_info.id: found.pipeline_node for found in pipeline.nodes}
    launch_node(pipeline, nodes[node], Metadata(sqlite_connection(config.metadata), config.root), config.training)


def evaluate(folder: pathlib.Path) -> None:
    """Evaluates an untrained model of the preset `smoke` on the split test."""
    config, model = PRESETS["smoke"], standard_artifacts.Model()
    model.uri = str(folder / "model")
    grey = ImageSet(np.full([1, *SHAPE], 128, np.uint8), np.zeros([1], np.int64))
    servable = Servable(build(config, SHAPE), pixel_model(grey), config.eval_samples, preprocessing(SHAPE), SHAPE)
    save(servable, Units.of(config, SHAPE), f"{model.uri}/Format-Serving")
    kinds = "Examples", "InfraBlessing", "ModelEvaluation", "ModelBlessing"
    examples, checked, evaluation, blessing = (getattr(standard_artifacts, kind)() for kind in kinds)
    checked.uri = str(folder / "serving")
    pathlib.Path(checked.uri).mkdir()
    pathlib.Path(checked.uri, FILE).write_text(Serving([], True, 0.0, 0.0, {}).to_json())
    (path,) = folder.glob("state/artifacts/*/ImageExampleGen/examples/*/")
    examples.split_names = '["test"]'
    examples.uri, evaluation.uri, blessing.uri = str(path), str(folder / "evaluation"), str(folder / "blessing")
    context = Executor.Context(beam_pipeline_args=[*BEAM_ARGS], tmp_dir=str(folder / "tmp"))
    Executor(context).Do(
        {"examples": [examples], "model": [model], "infra_blessing": [checked]},
        {"evaluation": [evaluation], "blessing": [blessing]},
        {"eval_config": proto_utils.proto_to_json(eval_config(None, 1.0, None)), "example_splits": '["test"]'},
    )


def compare(folder: pathlib.Path) -> None:
    """Compares the data with themselves, the ELBO of the model in `evaluate` included."""
    examples, statistics = standard_artifacts.Examples(), standard_artifacts.ExampleStatistics()
    for artifact, found in ((examples, "ImageExampleGen/examples"), (statistics, "StatisticsGen/statistics")):
        (path,) = folder.glob(f"state/artifacts/*/{found}/*/")
        artifact.uri, artifact.split_names = str(path), '["train", "test"]'
    record_shape(examples, SHAPE)
    side, model = Side("the data", [examples], [statistics]), str(folder / "model/Format-Serving")
    measure(side, side, Comparator.DRIFT, 0.1, model, str(folder), lambda: beam.Pipeline(argv=[*BEAM_ARGS]))


def main(node: str, folder: pathlib.Path, *images: str) -> None:
    """Runs the node, or writes the data."""
    if node == "data":
        write_images(folder / "data", int(*images))
    elif node == "Evaluator":
        evaluate(folder)
    elif node == "Drift":
        compare(folder)
    else:
        launch(node, folder)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:])
