"""The whole pipeline through the command line, with Beam in process, on the embedded data.

The tests of the first part share a root and run in order: they are the life of a model directory.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

import components.train.code
import pipeline.state.cache
import trainer.workers.job
from components.gate.serving import versions as pushed_versions
from pipeline import cli, words
from toy_data import png, rows, write_toy

pytestmark = pytest.mark.slow

EPOCHS = ["--epochs=2"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root")


@pytest.fixture
def run(root, capfd):
    """Runs `vaeiaf run` on the embedded data; returns exit code and console."""

    def start(*arguments, dataset="photo_patches", root=root):
        capfd.readouterr()
        code = cli.main(["run", f"--dataset={dataset}", "--preset=smoke", f"--root={root}", *arguments])
        captured = capfd.readouterr()
        assert captured.err == ""
        assert "Traceback" not in captured.out
        return code, captured.out

    return start


@pytest.fixture
def toy(tmp_path):
    """The options of a tiny training on a tiny data set."""
    data_dir = write_toy(tmp_path / "data", rows("train", 40, 0), rows("test", 10, 100))
    sizes = ["--set=batch_size=8", "--set=hidden_size=8", "--set=latent_size=2", "--set=iaf_steps=0"]
    return ["--dataset=toy", f"--data-dir={data_dir}", "--preset=smoke", "--min-elbo=-1e6", *sizes]


def versions(root):
    return pushed_versions(str(root / "pushed/vaeiaf-photo-patches"))


def elbo(console):
    return float(re.search(r"Test-set ELBO (-[\d.]+) nats", console).group(1))


def component(console, name):
    """'cached' or the seconds of a component."""
    return re.findall(rf"^{name} +(.+)$", console, re.MULTILINE)[-1]


def test_a_first_run_tells_its_story_and_pushes(run, root):
    code, console = run(*EPOCHS)
    assert code == words.PUSHED
    for text in ("training on 5,700 images", "epoch 2/2  test ELBO", "PUSHED to ", "docker run", "Report: "):
        assert text in console
    assert len(versions(root)) == 1
    assert len(console.splitlines()) < 40
    report = pathlib.Path(re.search(r"Report: (.+)", console).group(1))
    assert "Blessed" in report.read_text()
    (history,) = (root / "artifacts").glob("*/Trainer/model_run/*/history.json")
    reported = json.loads(history.read_text())["test"]["elbo"]
    assert elbo(console) == pytest.approx(reported, abs=0.006), "the Evaluator's number is the Trainer's, to 2 decimals"


def test_the_pushed_model_serves_clients_of_every_signature(root):
    (version,) = versions(root)
    model = tf.saved_model.load(str(root / f"pushed/vaeiaf-photo-patches/{version}"))
    encoded = tf.constant([png(1), png(2)])
    for signature, inputs, output in (
        ("serving_default", {"images": encoded}, (2, 32, 32, 3)),
        ("reconstruct_pixels", {"images": tf.zeros([2, 32, 32, 3], tf.uint8)}, (2, 32, 32, 3)),
        ("encode", {"images": encoded}, (2, 64)),
        ("sample", {"n": tf.constant(3), "seed": tf.constant(0)}, (3, 32, 32, 3)),
    ):
        (value,) = model.signatures[signature](**inputs).values()
        assert value.shape == output


def test_the_same_run_again_trains_nothing_and_pushes_nothing(run, root):
    before = versions(root)
    code, console = run(*EPOCHS)
    assert code == words.PUSHED
    assert "Nothing was trained" in console
    assert f"UNCHANGED: this model is already the newest version, {root}" in console
    for name in ("ImageExampleGen", "StatisticsGen", "StrictExampleValidator", "Transform", "Trainer"):
        assert component(console, name) == "cached"
    assert versions(root) == before


def test_a_better_run_is_pushed_beside_the_first(run, root):
    code, console = run("--epochs=4")
    assert code == words.PUSHED
    lower = re.search(r"Last blessed model -\d+\.\d\d: the gain over 1000 .* between ([+-][\d.]+) and", console).group(
        1
    )
    assert float(lower) > 0.0
    assert len(versions(root)) == 2


def test_a_worse_run_is_refused_with_both_numbers_and_pushes_nothing(run, root):
    before = versions(root)
    code, console = run("--epochs=1", "--learning-rate=1e-4")
    assert code == words.REFUSED
    assert re.search(
        r"REFUSED: the test-set ELBO is -\d+\.\d\d, the last blessed model's -\d+\.\d\d .* worse by more than the 1.00",
        console,
    )
    assert versions(root) == before


def test_a_run_below_the_bound_is_refused(run, root):
    code, console = run("--epochs=4", "--min-elbo=-500")
    assert code == words.REFUSED
    assert re.search(r"REFUSED: the test-set ELBO -\d+\.\d\d is below the bound -500.00", console)
    assert len(versions(root)) == 2


def test_a_broken_model_is_refused(run, root, monkeypatch):
    train = trainer.workers.job.train_and_evaluate

    def train_and_break(*arguments):
        result = train(*arguments)
        variable = result.model.trainable_variables[0]
        variable.assign(tf.fill(variable.shape, np.nan))
        return result

    monkeypatch.setattr(trainer.workers.job, "train_and_evaluate", train_and_break)
    code, console = run("--epochs=1", "--seed=1")
    assert code == words.REFUSED
    assert "REFUSED: the test-set ELBO is nan, not a finite number" in console
    assert len(versions(root)) == 2


def test_a_refused_model_does_not_become_the_baseline(run):
    code, console = run("--epochs=4")
    assert code == words.PUSHED
    assert re.search(r"Last blessed model -\d+\.\d\d: the same on each of 1000 paired images\n", console)


def test_an_edit_of_the_training_code_retrains_to_the_same_model_and_ingests_nothing(run, monkeypatch):
    of = components.train.code.code_of
    monkeypatch.setattr(
        pipeline.state.cache, "code_of", lambda node: of(node) + ("-edited" if node == "Trainer" else "")
    )
    _, console = run("--epochs=4")
    assert component(console, "Trainer") != "cached"
    assert component(console, "ImageExampleGen") == component(console, "Transform") == "cached"
    assert "UNCHANGED" in console  # the same seed, so the same weights


def test_a_deleted_model_directory_is_filled_again(run, root):
    for path in sorted((root / "pushed").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    code, console = run("--epochs=4")
    assert code == words.PUSHED
    assert "PUSHED to " in console
    assert len(versions(root)) == 1


def test_a_served_model_whose_artifact_is_gone_stops_the_run_unless_the_user_does_without(run, root):
    before = versions(root)
    for path in sorted(root.glob("artifacts/*/Trainer/model/*"), reverse=True):
        path.rename(root / f"moved-{path.name}")
    code, console = run("--epochs=1", "--seed=7")
    assert code == words.FAILED
    assert f"vaeiaf: version {before[-1]}, which is served from" in console
    assert "pass --no-baseline" in console
    assert "training on" not in console
    assert versions(root) == before
    code, console = run("--epochs=1", "--seed=7", "--no-baseline")
    assert code == words.PUSHED
    assert "Note: not compared with an earlier model (--no-baseline)." in console
    assert "Last blessed model" not in console
    report = pathlib.Path(re.search(r"Report: (.+)", console).group(1))
    assert "not compared with an earlier model (--no-baseline)" in report.read_text()


def test_a_baseline_in_other_units_stops_the_run_before_training(run, root):
    before = versions(root)
    code, console = run("--epochs=1", "--eval-samples=2")
    assert code == words.BAD_INPUT
    assert "K = 2, got 'Bernoulli" in console
    assert "training on" not in console
    assert versions(root) == before


def test_a_resolver_that_fails_stops_the_run_and_lets_nothing_out(run, root, monkeypatch):
    def fail(*_):
        raise OSError("the store is gone")

    before = versions(root)
    monkeypatch.setattr("components.gate.last_blessed.LastBlessedModelStrategy.resolve_artifacts", fail)
    code, console = run("--epochs=1", "--seed=8")
    assert code == words.FAILED
    assert "LastBlessedModel did not finish" in console
    assert "Trainer" not in console
    assert versions(root) == before


def test_a_tuner_finds_a_configuration_that_the_trainer_uses(run, toy, tmp_path):
    code, console = run(*toy, "--epochs=1", "--tune=2", "--strategy=mirrored", root=tmp_path / "root")
    assert code == words.PUSHED
    assert "trial 2 of 2: learning_rate" in console
    (found,) = tmp_path.glob("root/artifacts/*/Tuner/best_hyperparameters/*/*")
    (history,) = tmp_path.glob("root/artifacts/*/Trainer/model_run/*/history.json")
    config = json.loads(history.read_text())["config"]
    for name, value in json.loads(found.read_text())["values"].items():
        assert config[name] == value


def test_a_warm_start_goes_on_from_the_last_blessed_model_if_there_is_one(run, toy, tmp_path):
    warm, still = [*toy, "--epochs=1", "--warm-start"], "--learning-rate=1e-9"
    code, first = run(*warm, root=tmp_path / "root")
    assert code == words.PUSHED
    assert "no blessed model yet: starting from random weights" in first
    (model,) = tmp_path.glob("root/artifacts/*/Trainer/model/*/Format-Serving")
    code, console = run(*warm, still, root=tmp_path / "root")
    assert code == words.PUSHED
    assert f"starting from the weights of {model}" in console
    assert elbo(console) == pytest.approx(elbo(first), abs=0.02)
    _, console = run(*warm, still, root=tmp_path / "root")
    assert component(console, "Trainer") != "cached", "there is a new model to start from"
    code, console = run(*warm, "--set=hidden_size=4", root=tmp_path / "root")
    assert code == words.BAD_INPUT
    assert "encoder/hidden/w" in console
    assert "training on" not in console


def test_every_label_and_a_closer_look_are_in_the_report(run, toy, tmp_path):
    closer = ["--set=importance_samples=5", "--set=decoder=DiscretizedLogisticMLP"]
    code, console = run(*toy, "--epochs=1", *closer, root=tmp_path / "root")
    assert code == words.PUSHED
    assert " bits/dim" in console
    report = pathlib.Path(re.search(r"Report: (.+)", console).group(1)).read_text()
    for text in ("bits/dim", "Importance-weighted bound with 5 draws", "<th>label</th>"):
        assert text in report


def test_an_anomaly_stops_the_run_before_training(run, tmp_path):
    train, test = rows("train", 40, 0), [*rows("test", 10, 100), ("unlabelled", png(999), -1)]
    data_dir = write_toy(tmp_path / "data", train, test)
    code, console = run(f"--data-dir={data_dir}", dataset="toy", root=tmp_path / "root")
    assert code == words.BAD_INPUT
    assert "split test: feature label: Out-of-range values" in console
    assert "Trainer" not in console
    assert not (tmp_path / "root/pushed").exists()


def test_a_truncated_image_stops_the_run_by_its_id(run, tmp_path):
    data_dir = write_toy(tmp_path / "data", [*rows("train", 40, 0), ("cut", png(7)[:500], 0)], rows("test", 10, 100))
    code, console = run(f"--data-dir={data_dir}", dataset="toy", root=tmp_path / "root")
    assert code == words.BAD_INPUT
    assert "vaeiaf: image cut, format: expected a complete PNG" in console
    assert "StatisticsGen" not in console


def test_shared_images_stop_the_run_unless_they_are_allowed(run, tmp_path):
    train = [*rows("train", 40, 0), ("twin", png(101), 0)]
    data_dir = write_toy(tmp_path / "data", train, rows("test", 10, 100))
    arguments = [f"--data-dir={data_dir}", "--epochs=1", "--batch-size=8"]
    code, console = run(*arguments, dataset="toy", root=tmp_path / "root")
    assert code == words.BAD_INPUT
    assert "vaeiaf: 1 of 10 test images are also training images, pixel by pixel: " in console
    assert "StatisticsGen" not in console
    code, console = run(*arguments, "--allow-shared-images", dataset="toy", root=tmp_path / "root")
    assert code in (words.PUSHED, words.REFUSED)
    assert "1 of 10 test images are also training images" in console


def test_a_damaged_record_stops_the_run_with_its_file_and_index(run, tmp_path):
    data_dir = write_toy(tmp_path / "data", rows("train", 40, 0), rows("test", 10, 100))
    (file,) = data_dir.glob("toy/1.0.0/toy-train*")
    content = file.read_bytes()
    file.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    code, console = run(f"--data-dir={data_dir}", dataset="toy", root=tmp_path / "root")
    assert code == words.BAD_INPUT
    assert f"vaeiaf: {file}: record 1, counted from 0, is damaged: corrupt" in console
    assert "Copy the data set again, or delete its folder and prepare it again\n" in console
    assert "StatisticsGen" not in console


def test_an_interrupted_run_leaves_no_half_model_and_the_next_one_goes_on(run, toy, tmp_path):
    root = tmp_path / "root"
    command = [sys.executable, "-m", "pipeline", "run", *toy, "--epochs=100000", f"--root={root}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    console = ""
    for line in process.stdout:
        console += line
        if "epoch 1/100000" in line:
            process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert "vaeiaf: interrupted by SIGINT" in console
    assert "Traceback" not in console
    assert not (root / "pushed").exists()
    assert not list((root / "artifacts").glob("*/Trainer/model/*"))
    code, console = run(*toy, "--epochs=1", root=root)
    assert code == words.PUSHED
    assert component(console, "ImageExampleGen") == "cached"


def test_a_root_may_have_any_name_that_is_not_refused(run, toy, tmp_path):
    name = "per%2Fcent # Größe {a,b}]~'$(x) 漢"
    for trained in ("epoch 1/1", "Nothing was trained"):
        code, console = run(*toy, "--epochs=1", root=tmp_path / "roots" / name)
        assert code == words.PUSHED, console
        assert trained in console
    assert [path.name for path in (tmp_path / "roots").iterdir()] == [name], "no stray folders"


def test_a_run_may_be_called_from_any_thread(run, toy, tmp_path):
    done = []
    thread = threading.Thread(target=lambda: done.append(run(*toy, "--epochs=1", root=tmp_path / "root")))
    thread.start()
    thread.join()
    ((code, console),) = done
    assert code == words.PUSHED, console


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_whose_terminal_is_closed_saves_and_ends_by_sighup(workers, toy, tmp_path):
    """The kernel sends SIGHUP to the process that the terminal belongs to, as when ssh is lost."""
    master, terminal = os.openpty()
    command = [sys.executable, "-m", "pipeline", "run", *toy, "--epochs=100000", f"--root={tmp_path / 'root'}"]
    process = subprocess.Popen([*command, f"--workers={workers}"], preexec_fn=lambda: os.login_tty(terminal))
    os.close(terminal)
    with open(master, "rb", buffering=0) as screen:
        console = b""
        while b"epoch 2/" not in console:
            console += screen.read(4096)
    assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert list(tmp_path.glob("root/training/*/*/step-*"))
    assert not list(tmp_path.glob("root/artifacts/*/Trainer/model/*"))
    (log,) = (tmp_path / "root/logs").glob("*.log")
    assert "interrupted by SIGHUP" in log.read_text()
