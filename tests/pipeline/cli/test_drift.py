"""`vaeiaf drift`: two sets of images, their table, JSON and page, without a state directory."""

import json
import os
import tempfile

import numpy as np
import pytest

from comparisons import DRIFTED, EQUAL
from pipeline import cli, words
from toy_data import pixels
from trainer import exit_codes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a comparison puts its own folder, empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.mark.slow
def test_two_folders_are_compared_and_nothing_else_is_left(folder, tmp_path, capfd):
    images = np.stack([pixels(seed) for seed in range(120)])
    for name, found in (("new", images), ("old", images // 2)):
        np.savez(tmp_path / f"{name}.npz", images=found)
    page = tmp_path / "page.html"
    code = cli.main(["drift", str(tmp_path / "new.npz"), str(tmp_path / "old.npz"), "--json", f"--output={page}"])
    captured = capfd.readouterr()
    assert code == exit_codes.REFUSED
    assert len(captured.err.splitlines()) == 2, "a line for each set that is ingested"
    found = {figure["name"]: figure for figure in json.loads(captured.out)["figures"]}
    assert {name for name, figure in found.items() if figure["drifted"]} >= {"brightness", "contrast", "sharpness"}
    assert sum(found["brightness"]["cells"]["current"]) == pytest.approx(120)
    assert "<svg" in page.read_text()
    assert not os.listdir(folder)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["photo_patches", "photo_patches", "--model=/no/model"], "/no/model"),
        (["photo_patches", "photo_patches", "--output=page.txt"], "page.txt"),
        (["photo_patches", "photo_patches", "--drift-threshold=2"], "2.0"),
        (["photo_patches", "photo_patches", "--model=served", "--root=/no/root"], "served"),
        (["/no/such/folder", "photo_patches"], "/no/such/folder"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(arguments, value, folder, capfd):
    code = cli.main(["drift", *arguments])
    captured = capfd.readouterr()
    assert (code, captured.out) == (exit_codes.BAD_INPUT, "")
    assert value in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not os.listdir(folder)


def test_the_table_has_each_figure_with_its_threshold():
    lines = words.describe_drift(DRIFTED).splitlines()
    (brightness,) = (line for line in lines if line.startswith("brightness"))
    assert brightness.split() == ["brightness", "0.5000", "0.0300", "0.0100", "100", "and", "100", "DRIFT"]
    assert lines[-2:] == ["Note: without a model.", f"DRIFT: {DRIFTED.sentence}."]
    assert words.describe_drift(EQUAL).splitlines()[-1] == "No drift: every figure is within its threshold."
