"""Damaged results of earlier runs: each is found, quarantined and made anew, and the run says so in one line."""

import re
import shutil

import pytest

import trainer.workers.job
from series import quarantined, took
from trainer import exit_codes

pytestmark = pytest.mark.slow


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_damaged_results_are_quarantined_and_made_anew(series):
    assert series.first()[0] == exit_codes.DONE
    examples = series.only("ImageExampleGen/examples/*/Split-train/*")
    graph = series.only("Transform/transform_graph/*/transform_fn/saved_model.pb")
    flip(examples)
    graph.unlink()
    code, console = series.run()
    assert code == exit_codes.DONE
    for path, node in ((examples, "ImageExampleGen"), (graph, "Transform")):
        (line,) = [line for line in console.splitlines() if str(path) in line]
        assert "an earlier result is damaged" in line
        assert took(console, node) != "cached"
    assert "UNCHANGED" in console, "the same data, so the same weights"
    artifact = examples.parents[1]
    assert examples.name in quarantined(artifact)
    assert not artifact.exists()
    code, console = series.run()
    assert code == exit_codes.DONE
    assert "an earlier result is damaged" not in console
    for node in ("ImageExampleGen", "StatisticsGen", "Transform", "Trainer"):
        assert took(console, node) == "cached"


def test_a_pushed_version_that_lost_its_graph_is_pushed_again(series):
    series.first()
    (version,) = series.versions()
    (series.pushed / str(version) / "saved_model.pb").unlink()
    code, console = series.run()
    assert code == exit_codes.DONE
    assert "UNCHANGED" not in console
    assert f"The version served before is damaged and was moved to {series.pushed}/{version}.damaged-" in console
    (again,) = series.versions()
    assert again > version
    assert f"PUSHED to {series.pushed / str(again)}" in console


@pytest.mark.parametrize("fails", [True, False], ids=["in the node that reads it", "before the next one"])
def test_damage_amid_a_run_is_named_and_the_next_run_recovers(series, monkeypatch, fails):
    train = trainer.workers.job.train_and_evaluate

    def lose_examples(*arguments):
        (examples,) = series.root.glob("artifacts/*/ImageExampleGen/examples/*/Split-train")
        shutil.rmtree(examples)
        if fails:
            raise ValueError("what TensorFlow makes of files that are gone")
        return train(*arguments)

    series.ingest()
    with monkeypatch.context() as patch:
        patch.setattr(trainer.workers.job, "train_and_evaluate", lose_examples)
        code, console = series.run()
    assert code == exit_codes.FAILED
    (sentence,) = re.findall("^vaeiaf: (.+)$", console, re.MULTILINE)
    assert re.search(r"Split-train/\S+ is missing: the Examples that this run made or reused was damaged", sentence)
    code, console = series.run()
    assert code == exit_codes.DONE
    assert took(console, "ImageExampleGen") != "cached"
