"""Small data of a user's own, for tests, and their ingestion."""

import pathlib
from typing import Any

import numpy as np
from tfx.types import standard_artifacts

from components.ingest import findings
from components.ingest.decoding import Images
from components.ingest.example_gen import Asked, ImageExampleGen
from components.ingest.findings import key
from components.ingest.pieces import serialized
from components.ingest.writing import SplitWriter
from pipeline.settings import PipelineConfig

DEFAULTS = {name: getattr(PipelineConfig(), name) for name in Asked._fields}


def asked(**settings: Any) -> ImageExampleGen:
    """The ingestion of the data set `toy`, or of `data`, with the defaults of a run but for these settings."""
    return ImageExampleGen(Asked(**{**DEFAULTS, "data_dirs": [], "dataset": "toy", **settings}))


def write_examples(folder: pathlib.Path, **splits: list[tuple[bytes, bytes]]) -> standard_artifacts.Examples:
    """Writes Examples of pairs of image and id, as ingestion does before its checks. Returns their artifact.

    The pixels of an image are its bytes.
    """
    findings.prepare(str(folder))
    for split, images in splits.items():
        writer = SplitWriter(str(folder), split, "000-000000")
        for image, name in images:
            (example,) = serialized(Images(np.array([image], object), np.zeros([1, 1, 1, 1]), [None], [name]))
            writer.write(example, key(image, name))
        writer.close()
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    return examples


def write_files(root: pathlib.Path, files: dict[str, bytes]) -> str:
    """Writes files by their paths below `root`. Returns `root` as a text."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(root)
