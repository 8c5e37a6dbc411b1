"""`python -m trainer` trains from files to a SavedModel, and explains a failure in one line and in error.json."""

import json
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

import trainer
import trainer.workers.job
from trainer.__main__ import main
from trainer.failure import FILE, Kind, left
from trainer.presets import PRESETS
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.storage.lock import alone
from trainer.units import Units, read_units

SIZES = {"hidden_size": 8, "latent_size": 2, "iaf_steps": 1, "iaf_hidden_size": 4}
SETTINGS = {**SIZES, "batch_size": 16, "epochs": 2, "eval_samples": 2, "importance_samples": 0}


@pytest.fixture
def folder(tmp_path, make_images, png, example, write_records, monkeypatch):
    """A folder with files of training and test images; the preset `tiny` trains on them."""
    for split, count in (("train", 40), ("test", 10)):
        images = make_images(count)
        records = [example(png(image), f"{split}_{i}") for i, image in enumerate(images.pixels)]
        for part in range(2):
            write_records(tmp_path / f"{split}-{part}.gz", records[part::2])
    monkeypatch.setitem(PRESETS, "tiny", TrainConfig(**SETTINGS))
    return tmp_path


@pytest.fixture
def start(folder):
    """Runs main with some options changed."""

    def run(**changes):
        paths = {"train": "train-*", "test": "test-*", "output": "out"}
        options = {"preset": "tiny", **{name: str(folder / value) for name, value in paths.items()}, **changes}
        return main([word for name, value in options.items() for word in (f"--{name}", str(value))])

    return run


@pytest.fixture
def refused(start, capsys):
    """Runs main, which must refuse in one line, and returns that line."""

    def run(**changes):
        assert start(**changes) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("trainer: ")
        return line

    return run


def test_a_run_from_any_thread_leaves_a_model_its_history_and_its_scalars(start, folder):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(start(epochs="1")))
    thread.start()
    thread.join()
    assert codes == [0]
    history = json.loads((folder / "out" / "history.json").read_text())
    assert history["config"].items() >= {**SETTINGS, "epochs": 1}.items(), "--epochs goes before the recipe"
    assert list((folder / "out").glob("events.out.tfevents.*"))
    assert read_units(str(folder / "out" / "model")) == Units.of(TrainConfig(**history["config"]), Shape(32, 32, 3))
    records = list(tf.data.TFRecordDataset(tf.io.gfile.glob(str(folder / "test-*")), "GZIP").as_numpy_iterator())
    served = tf.saved_model.load(str(folder / "out" / "model"))
    evaluated = served.signatures["evaluate"](examples=tf.constant(records))
    np.testing.assert_allclose(np.mean(evaluated["elbo"]), history["test"]["elbo"], rtol=1e-5)


@pytest.mark.parametrize("name", ["", "st*r", "br[1]", "a\nb"])
def test_an_output_of_a_name_that_does_not_work_is_refused_before_anything_is_made(name, refused, folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    refused(output=name)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("split", ["train", "test"])
def test_files_that_are_not_there_are_named_and_nothing_is_made(split, refused, folder):
    assert "none-*" in refused(**{split: folder / "none-*"})
    assert not (folder / "out").exists()


@pytest.mark.parametrize(("option", "value"), [("workers", 0), ("workers", -2), ("workers", 3), ("epochs", 0)])
def test_options_are_checked_before_anything_is_made(option, value, refused, folder):
    assert f"got {16 if value == 3 else value}" in refused(**{option: value})
    assert not (folder / "out").exists()


def test_an_output_that_is_a_file_is_named(refused, folder):
    (folder / "out").write_text("")
    assert str(folder / "out") in refused()


def test_an_output_that_cannot_be_locked_is_named(refused, folder):
    (folder / "out" / "lock").mkdir(parents=True)
    assert str(folder / "out") in refused()
    failure = left(str(folder / "out" / FILE))
    assert (failure.kind, failure.value, failure.cause) == (Kind.BAD_INPUT, str(folder / "out"), "Is a directory")


def test_an_output_of_a_training_that_is_running_is_left_to_it(start, folder, capsys):
    (folder / "out").mkdir()
    with alone(str(folder / "out"), "training", "--output"):
        assert start() == 1, "a scheduler may try again, and resume from the other's checkpoint if that was killed"
    assert capsys.readouterr().err.startswith("trainer: ")
    assert [path.name for path in (folder / "out").iterdir()] == ["lock"]


def test_a_batch_larger_than_the_data_is_refused_and_the_failure_stays_until_the_next_start(start, folder, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", TrainConfig(**{**SETTINGS, "batch_size": 64}))
    assert start() == 2
    failure = left(str(folder / "out" / FILE))
    assert (failure.sentence, failure.value) == ("batch_size", 64)
    seen = []

    def look(*_):
        seen.append(left(str(folder / "out" / FILE)))
        raise ZeroDivisionError

    monkeypatch.setattr(trainer.workers.job, "run_job", look)
    start()
    assert seen == [None]


def test_a_bug_leaves_a_traceback_and_a_failure(start, folder, monkeypatch, capsys):
    monkeypatch.setattr(trainer.workers.job, "run_job", lambda *_: 1 / 0)
    assert start() == 1
    assert "Traceback" in capsys.readouterr().err
    failure = left(str(folder / "out" / FILE))
    assert (failure.kind, failure.sentence) == (Kind.BUG, "ZeroDivisionError: division by zero")


@pytest.mark.parametrize("arguments", [[], ["--train", "a"], ["--preset", "none"]])
def test_a_command_line_that_cannot_be_read_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: python -m trainer" in capsys.readouterr().err


def test_the_module_refuses_a_recipe_in_one_line_and_without_loading_tensorflow(folder):
    code = """import runpy, sys
try: runpy.run_module("trainer", run_name="__main__")
finally: print("tensorflow" in sys.modules)"""
    paths = ["--train", "a", "--test", "b", "--output", str(folder / "out"), "--epochs", "0"]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        cwd=pathlib.Path(trainer.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout.strip() == "False"
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "out").exists()
