"""Time and memory of the nodes that read all images, each in a process of its own, against the number of images."""

import tempfile
from collections.abc import Sequence

from tests.bench.process import Finished, run_module
from tests.bench.rows import Row

SIZES = (60_000, 600_000)
NODES = ("ImageExampleGen", "StatisticsGen", "Schema", "StrictExampleValidator", "Transform", "Evaluator", "Drift")


def rows(sizes: Sequence[int]) -> list[Row]:
    """Measures a row for each node and number of images, and the memory that each image adds to a node."""
    found = {size: measured(size) for size in sizes}
    return [
        *(_row(node, size, runs[node]) for size, runs in found.items() for node in runs),
        *(_growth(node, found) for node in NODES if len(sizes) > 1),
    ]


def measured(images: int) -> dict[str, Finished]:
    """Runs the nodes on this number of images, and removes what they wrote. The data are written first."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        data = run_module("tests.bench.scale_node", "data", folder, str(images))
        return {"data": data} | {node: run_module("tests.bench.scale_node", node, folder) for node in NODES}


def _row(node: str, images: int, run: Finished) -> Row:
    more = {"seconds": run.seconds, "cpu_seconds": run.cpu_seconds, "peak_mb": run.peak_mb}
    return Row(f"{node}, {images:,} images", more=more)


def _growth(node: str, found: dict[int, dict[str, Finished]]) -> Row:
    small, large = min(found), max(found)
    added = (found[large][node].peak_mb - found[small][node].peak_mb) * 2**20
    return Row(f"{node}, memory of an image", more={"bytes": added / (large - small)})
