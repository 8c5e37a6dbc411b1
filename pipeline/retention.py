"""Retention: what a run that has ended removes, by its settings, and how that is said. Imports no TFX."""

from collections.abc import Callable
from typing import Any

from ml_metadata.metadata_store import MetadataStore

from pipeline.settings import PipelineConfig
from pipeline.state.prune import Pruned, Rules, prune
from trainer.errors import ReportedError


def retain(
    config: PipelineConfig,
    run_id: str,
    open_store: Callable[[], MetadataStore],
    is_alone: bool,
    say: Callable[[str], Any],
) -> None:
    """Removes what is beyond `keep_runs` and `keep_versions`. A failure is a line, because the run is done.

    Args:
      config: of the run that has ended.
      run_id: of that run, which stays.
      open_store: opens the database.
      is_alone: whether no other run can be running in the state directory.
      say: prints a line.
    """
    rules = Rules(config.keep_versions or None, config.keep_runs or None, run=run_id)
    if rules.removes_nothing:
        return
    try:
        pruned = prune(open_store(), config.root, config.name, rules, is_alone)
    except ReportedError as error:  # also a signal: the verdict is told, and a failure after it would contradict it
        say(f"Old runs and versions stay: {error}")
        return
    if text := removed(pruned):
        say(f"Retention: {text}")


def removed(pruned: Pruned) -> str:
    """Counts what was removed, such as `2 versions, 1 run, 12 artifacts, 3.1 MB`; empty if it was nothing."""
    counts = [
        (len(pruned.versions), "version"),
        (len(pruned.withdrawn), "withdrawn version"),
        (len(pruned.runs), "run"),
        (len(pruned.artifacts), "artifact"),
        (len(pruned.leftovers), "leftover"),
    ]
    found = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count]
    return ", ".join([*found, f"{pruned.size / 1e6:,.1f} MB"]) + " removed" if found else ""
