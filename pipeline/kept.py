"""What a run keeps that a signal stopped: its finished components, and its newest checkpoint. Imports no TFX."""

import os
import re

from components.train.code import CODE
from pipeline.settings import PipelineConfig
from pipeline.state.executions import SUCCESSFUL, find_run, open_store

CHECKPOINT = re.compile(r"step-(\d+)")
TRAINING = ("Tuner", "Trainer")  # nodes whose checkpoints are kept until they finish


def kept(config: PipelineConfig, run_id: str) -> str:
    """Says what the run `run_id` keeps, and how to resume it.

    Raises:
      ReportedError: the database cannot be read.
    """
    run = find_run(open_store(config.root), config.name, run_id)
    nodes = run.nodes if run else {}
    done = [name for name, execution in nodes.items() if execution.last_known_state in SUCCESSFUL]
    parts = [name for name in done if name.partition(".")[0] in CODE]  # the others run every time
    step = _newest_step(config.training) if any(name in nodes and name not in done for name in TRAINING) else None
    if step is not None:
        parts.append(f"the checkpoint of step {step}")
    if not parts:
        return "Nothing was finished yet, so the same command starts anew"
    return f"Kept: {', '.join(parts)}. The same command resumes from there"


def _newest_step(training: str) -> int | None:
    """Returns the step of the checkpoint below the folder `training` that was written last."""
    found = [
        (os.path.getmtime(path), int(match[1]))
        for folder, names, _ in os.walk(training)
        for name in names
        if (match := CHECKPOINT.fullmatch(name)) and os.path.exists(path := os.path.join(folder, name))
    ]
    return max(found)[1] if found else None
