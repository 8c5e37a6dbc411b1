"""What the numbers of an image cost: ingestion and statistics with them and without, in turns, in one process."""

import contextlib
import statistics as averages
import tempfile
import time
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
from tfx.components.statistics_gen.executor import Executor as StatisticsExecutor
from tfx.orchestration import metadata
from tfx.types import Artifact, standard_artifacts

import components.ingest.pieces
from components.ingest import statistics
from components.ingest.example_gen import Asked, ImageDriver, ImageExampleGen, ImageExecutor
from components.ingest.numbers import image_numbers
from pipeline.beam.arguments import BEAM_ARGS
from pipeline.settings import PipelineConfig
from tests.bench.data import HAS_CIFAR10, random_images
from tests.bench.rows import Row

ROUNDS = 3
DATASET = "cifar10" if HAS_CIFAR10 else "photo_patches"


def rows() -> list[Row]:
    """Measures the CPU time of both nodes, and of the numbers alone."""
    found: dict[str, list[float]] = {"with": [], "without": [], "statistics_with": [], "statistics_without": []}
    for _ in range(ROUNDS):
        for name, context in (("without", _without_numbers), ("with", contextlib.nullcontext)):
            with context(), tempfile.TemporaryDirectory() as folder:
                examples, images, seconds = ingested(folder)
                found[name].append(seconds / images)
                found[f"statistics_{name}"].append(_cpu_seconds(lambda: _described(examples, folder)) / images)  # noqa: B023
    pixels = random_images(2048).pixels
    alone = min(_cpu_seconds(lambda: image_numbers(pixels, [b""] * len(pixels))) for _ in range(ROUNDS)) / len(pixels)
    cost = {name: 1e6 * averages.median(seconds) for name, seconds in found.items()}
    return [
        Row(f"{DATASET}: ingestion, CPU", more=_pair(cost, "")),
        Row(f"{DATASET}: statistics, CPU", more=_pair(cost, "statistics_")),
        Row("numbers alone, 32x32x3, CPU", more={"us_an_image": 1e6 * alone}),
    ]


def ingested(folder: str) -> tuple[Artifact, int, float]:
    """Ingests the data set into `folder`; returns the Examples, the number of images and the CPU seconds."""
    config = PipelineConfig(dataset=DATASET, root=folder, allow_shared_images=True)
    node = ImageExampleGen(Asked(**{name: getattr(config, name) for name in Asked._fields}))
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(":memory:")) as handle:
        properties = ImageDriver(handle).resolve_exec_properties(dict(node.exec_properties))
    examples = standard_artifacts.Examples()
    examples.uri = f"{folder}/examples"
    executor = ImageExecutor(ImageExecutor.Context(beam_pipeline_args=[*BEAM_ARGS]))
    seconds = _cpu_seconds(lambda: executor.Do({}, {"examples": [examples]}, properties))
    return examples, {"cifar10": 60_000, "photo_patches": 7_000}[DATASET], seconds


def _described(examples: Artifact, folder: str) -> None:
    made = standard_artifacts.ExampleStatistics()
    made.uri = f"{folder}/statistics"
    executor = StatisticsExecutor(StatisticsExecutor.Context(beam_pipeline_args=[*BEAM_ARGS]))
    properties = {"stats_options_json": statistics.options().to_json(), "exclude_splits": "[]"}
    executor.Do({"examples": [examples]}, {"statistics": [made]}, properties)


@contextlib.contextmanager
def _without_numbers() -> Iterator[None]:
    """Leaves the numbers out of the Examples."""
    nothing = lambda pixels, _: {"": np.zeros(len(pixels))}  # noqa: E731
    with (
        mock.patch.object(components.ingest.pieces, "image_numbers", nothing),
        mock.patch.object(components.ingest.pieces, "NUMBERS", ()),
        mock.patch.object(components.ingest.pieces, "_example", _plain(components.ingest.pieces._example)),
    ):
        yield


def _plain(example: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda image, name, label, _: example(image, name, label, [])


def _pair(cost: dict[str, float], prefix: str) -> dict[str, float]:
    with_, without = cost[f"{prefix}with"], cost[f"{prefix}without"]
    return {"us_an_image": with_, "without": without, "ratio": with_ / without}


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
