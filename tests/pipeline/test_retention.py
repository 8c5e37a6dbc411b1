"""What a run removes when it has ended, by its settings."""

import os
import shutil
import signal

import pytest

from pipeline.retention import retain
from pipeline.settings import PipelineConfig
from pipeline.state.executions import open_store
from state_root import PIPELINE, StateRoot
from trainer.errors import InterruptError


@pytest.fixture
def retained(tmp_path):
    """Retention by these settings, in a state directory with three runs and versions."""
    state = StateRoot(tmp_path / "root")
    runs = [state.run(model) for model in "abc"]

    def run(ended=-1, **settings):
        lines, config = [], PipelineConfig(dataset="toy", root=str(state.root), **settings)
        retain(config, runs[ended], lambda: open_store(config.root), True, lines.append)
        artifacts = list(state.root.glob(f"artifacts/{PIPELINE}/Trainer/model/*/Format-Serving"))
        return lines, len(state.versions()), len(artifacts)

    return run


def test_all_is_kept_by_default_and_the_newest_as_wanted(retained):
    assert retained() == ([], 3, 3)
    assert retained(keep_versions=2) == (["Retention: 1 version, 0.0 MB removed"], 2, 3)
    assert retained(keep_runs=1) == (["Retention: 1 run, 5 artifacts, 0.0 MB removed"], 2, 2), "a version keeps its run"
    assert retained(keep_versions=1, keep_runs=1)[1:] == (1, 1)
    assert retained(keep_versions=1, keep_runs=1) == ([], 1, 1)


def test_a_run_that_ends_after_a_newer_one_stays(retained):
    assert retained(ended=0, keep_versions=1, keep_runs=1)[1:] == (1, 2)


@pytest.mark.parametrize("operation", [(shutil, "rmtree"), (os, "makedirs")])
@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "old"), InterruptError(signal.SIGTERM)])
def test_a_failure_or_a_signal_is_a_line(retained, monkeypatch, operation, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(*operation, fail)
    (line,), *_ = retained(keep_versions=1)
    assert line.startswith("Old runs and versions stay: ")
    assert ("interrupted by SIGTERM" if isinstance(error, InterruptError) else "Permission denied") in line
