"""Small data of a user's own, for tests, and their ingestion."""

import pathlib
from typing import Any

from components.ingest.example_gen import Asked, ImageExampleGen
from pipeline.settings import PipelineConfig

DEFAULTS = {name: getattr(PipelineConfig(), name) for name in Asked._fields}


def asked(**settings: Any) -> ImageExampleGen:
    """The ingestion of the data set `toy`, or of `data`, with the defaults of a run but for these settings."""
    return ImageExampleGen(Asked(**{**DEFAULTS, "data_dirs": [], "dataset": "toy", **settings}))


def write_files(root: pathlib.Path, files: dict[str, bytes]) -> str:
    """Writes files by their paths below `root`. Returns `root` as a text."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(root)
