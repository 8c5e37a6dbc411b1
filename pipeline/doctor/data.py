"""Whether the data of a run are there."""

import os

from components.ingest.spans import folder_of
from pipeline.doctor.finding import Finding, State
from pipeline.settings import PipelineConfig

CHECK = "data"
EMBEDDED = "photo_patches"


def data(config: PipelineConfig) -> Finding:
    """Looks for the user's own data, the folder of their spans, or the prepared data set. Reads no image."""
    if config.data is not None:
        path = folder_of(config.data) if config.has_spans else config.data
        if not os.path.exists(path):
            return Finding(CHECK, State.WRONG, f"there is nothing at {path}", "Correct --data")
        if not os.access(path, os.R_OK):
            return Finding(CHECK, State.WRONG, f"this user cannot read {path}", "Give this user access")
        return Finding(CHECK, State.OK, f"{path} is there")
    name = config.dataset.partition(":")[0].partition("/")[0]
    for folder in config.data_dirs:
        if _is_prepared(os.path.join(folder, name)):
            return Finding(CHECK, State.OK, f"{name} is prepared in {folder}")
    if name == EMBEDDED:
        return Finding(CHECK, State.OK, f"{name} is embedded; the first run prepares it")
    remedy = f"Give --data-dir, or --manual-dir on a machine without a network, or use --dataset {EMBEDDED}"
    sentence = f"{name} is not prepared in {' or '.join(config.data_dirs)}; the first run downloads it"
    return Finding(CHECK, State.UNKNOWN, sentence, remedy)


def _is_prepared(folder: str) -> bool:
    """Tells whether TFDS has completed a version of the data set in `folder`, with or without a configuration."""
    return any("dataset_info.json" in names for _, _, names in os.walk(folder))
