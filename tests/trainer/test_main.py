"""`python -m trainer` from files to a SavedModel, and one line for whoever gave it something it cannot use."""

import gzip
import json
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

import trainer
from trainer.__main__ import main
from trainer.settings import TrainConfig
from trainer.storage.lock import alone
from trainer.units import Units, read_units

SIZES = {"hidden_size": 8, "latent_size": 2, "iaf_steps": 1, "iaf_hidden_size": 4}
SETTINGS = {**SIZES, "batch_size": 16, "epochs": 2, "eval_samples": 2}


@pytest.fixture
def folder(tmp_path, make_images, png, example, write_records):
    """A folder with a recipe and files of training and test images."""
    for split, count in (("train", 40), ("test", 10)):
        images = make_images(count)
        records = [example(png(image), f"{split}_{i}") for i, image in enumerate(images.pixels)]
        for part in range(2):
            write_records(tmp_path / f"{split}-{part}.gz", records[part::2])
    (tmp_path / "config.json").write_text(json.dumps(SETTINGS))
    return tmp_path


@pytest.fixture
def start(folder):
    """Runs main with some options changed, or left out where they are None."""

    def run(**changes):
        paths = {"train": "train-*", "test": "test-*", "output": "out", "config": "config.json"}
        options = {name: str(folder / value) for name, value in paths.items()} | changes
        return main(
            [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
        )

    return run


@pytest.fixture
def refused(start, capsys):
    """Runs main, which must refuse in one line, and returns that line."""

    def run(**changes):
        assert start(**changes) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("trainer: ")
        return lines[0]

    return run


def test_a_run_leaves_a_model_its_history_and_its_scalars(start, folder):
    assert start(epochs="1") == 0
    history = json.loads((folder / "out" / "history.json").read_text())
    assert history["config"].items() >= {**SETTINGS, "epochs": 1}.items(), "--epochs goes before the recipe"
    assert list((folder / "out").glob("events.out.tfevents.*"))
    assert read_units(str(folder / "out" / "model")) == Units.of(TrainConfig(**history["config"]))
    records = list(tf.data.TFRecordDataset(tf.io.gfile.glob(str(folder / "test-*")), "GZIP").as_numpy_iterator())
    served = tf.saved_model.load(str(folder / "out" / "model"))
    evaluated = served.signatures["evaluate"](examples=tf.constant(records))
    np.testing.assert_allclose(np.mean(evaluated["elbo"]), history["test"]["elbo"], rtol=1e-5)


def test_a_training_may_be_called_from_any_thread(start, folder):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(start(epochs="1")))
    thread.start()
    thread.join()
    assert codes == [0]
    assert (folder / "out" / "model").is_dir()


@pytest.mark.parametrize("name", ["", "st*r", "br[1]", "a\nb"])
def test_an_output_of_a_name_that_does_not_work_is_refused_before_anything_is_made(name, refused, folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert refused(output=name).startswith("trainer: output: expected ")
    assert sorted(folder.iterdir()) == before


def test_files_that_are_not_there_are_named(refused, folder):
    assert "none-*: expected gzipped TFRecord files" in refused(train=folder / "none-*")
    assert "none-*: expected gzipped TFRecord files" in refused(test=folder / "none-*")


def test_files_without_examples_are_named(refused, folder, write_records):
    write_records(folder / "empty.gz", [])
    assert "empty.gz hold no Example" in refused(test=folder / "empty.gz")


def test_a_batch_larger_than_the_data_is_named(refused, folder):
    (folder / "config.json").write_text(json.dumps({**SETTINGS, "batch_size": 64}))
    assert "batch_size: expected at most the 39 images" in refused()


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (b"{", "expected a JSON file of settings"),
        (b"\xff\xfe{\x00}\x00", "expected a JSON file of settings"),
        (b"[1]", "expected a JSON object of settings, got list"),
        (b'{"latents": 3}', "setting: expected one of encoder, decoder"),
        (b'{"epochs": "3"}', "epochs: expected a value of type int, got '3'"),
        (b'{"horizontal_flips": 1}', "horizontal_flips: expected a value of type bool, got 1"),
        (b'{"learning_rate": NaN}', "learning_rate: expected a finite number, got nan"),
        (b'{"learning_rate": 2}', "learning_rate: expected a number between 0 and 1, got 2"),
    ],
    ids=["no JSON", "no text", "no object", "unknown setting", "wrong type", "number", "not finite", "out of range"],
)
def test_a_recipe_that_cannot_be_is_explained(written, complaint, refused, folder):
    (folder / "config.json").write_bytes(written)
    assert complaint in refused()


def test_a_recipe_that_is_not_there_is_named(refused, folder):
    assert str(folder / "none.json") in refused(config=folder / "none.json")


@pytest.mark.parametrize(
    ("workers", "complaint"),
    [
        (0, "workers: expected at least 1, got 0"),
        (-2, "workers: expected at least 1, got -2"),
        (3, "batch_size: expected a multiple of the 3 replicas, such as 15 or 18, got 16"),
    ],
)
def test_workers_that_cannot_be_are_refused(workers, complaint, refused, folder):
    assert complaint in refused(workers=workers)
    assert not (folder / "out").exists()


def test_epochs_on_the_command_line_are_checked(refused):
    assert "epochs: expected at least 1, got 0" in refused(epochs=0)


@pytest.mark.parametrize("kind", ["plain text", "gzipped text", "folder", "no Example", "no image", "small image"])
def test_files_of_something_else_are_named(kind, refused, folder, png, example, write_records):
    path = folder / "other"
    small = tf.io.encode_png(np.zeros([8, 8, 3], np.uint8)).numpy()
    {
        "plain text": lambda: path.write_bytes(b"no TFRecord " * 10),
        "gzipped text": lambda: path.write_bytes(gzip.compress(b"no TFRecord " * 10)),
        "folder": path.mkdir,
        "no Example": lambda: write_records(path, [b"no Example"]),
        "no image": lambda: write_records(path, [example(b"no image", "a")]),
        "small image": lambda: write_records(path, [example(small, "a")]),
    }[kind]()
    assert "other" in refused(train=path)


def test_an_output_that_is_a_file_is_named(refused, folder):
    (folder / "out").write_text("")
    assert str(folder / "out") in refused()


def test_an_output_that_cannot_be_locked_is_named(refused, folder):
    (folder / "out" / "lock").mkdir(parents=True)
    assert f"--output {folder}/out cannot be written: Is a directory" in refused()


def test_an_output_of_a_training_that_is_at_work_is_left_to_it(start, folder, capsys):
    (folder / "out").mkdir()
    with alone(str(folder / "out"), "training", "--output"):
        assert start() == 1, "a scheduler may try again, and go on from the other's checkpoint if that was killed"
    expected = f"another training is at work in {folder}/out: wait for its end, or choose another --output"
    assert capsys.readouterr().err == f"trainer: {expected}\n"
    assert [path.name for path in (folder / "out").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    "arguments", [[], ["--train", "a"], ["--preset", "none"], ["--preset", "seed", "--config", "a"]]
)
def test_a_command_line_that_cannot_be_read_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: python -m trainer" in capsys.readouterr().err


def test_the_module_refuses_a_recipe_in_one_line_and_without_loading_tensorflow(folder):
    code = """import runpy, sys
try: runpy.run_module("trainer", run_name="__main__")
finally: print("tensorflow" in sys.modules)"""
    paths = ["--train", "a", "--test", "b", "--output", str(folder / "out"), "--config", str(folder / "none.json")]
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
