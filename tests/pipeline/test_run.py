"""The whole pipeline through the command line, with Beam in process, on the embedded data.

The tests of the first part share a root and run in order: they are the life of a model directory. The others run on
toy data, those at the end from a state directory that has ingested them.
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
import trainer.export
import trainer.training.loop
import trainer.workers.job
from components.card.files import read_card
from components.card.names import HTML
from components.gate.serving import versions as pushed_versions
from own_data import write_files
from pipeline import cli
from pipeline.dag import SCHEMAS
from scripts.docs.screenshots import headings, recorded
from series import Series, gradients, report, took
from toy_data import png, rows, write_toy
from trainer import exit_codes
from trainer.signatures import SIGNATURES

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


def versions(root):
    return pushed_versions(str(root / "pushed/vaeiaf-photo-patches"))


def elbo(console):
    return float(re.search(r"Test-set ELBO (-[\d.]+) nats", console).group(1))


def test_a_first_run_tells_its_story_and_pushes(run, root):
    code, console = run(*EPOCHS)
    assert code == exit_codes.DONE
    for text in (
        *("training on 5,700 images", "epoch 2/2  test ELBO", "PUSHED to ", "docker run", "Report: "),
        "Serving: loaded in ",
    ):
        assert text in console
    assert len(versions(root)) == 1
    assert len(console.splitlines()) < 40
    report = pathlib.Path(re.search(r"Report: (.+)", console).group(1))
    assert "Blessed" in report.read_text()
    (history,) = (root / "artifacts").glob("*/Trainer/model_run/*/history.json")
    reported = json.loads(history.read_text())["test"]["elbo"]
    assert elbo(console) == pytest.approx(reported, abs=0.006), "the Evaluator's number is the Trainer's, to 2 decimals"


def test_its_report_reads_well(root, faults_of):
    (page,) = root.glob("artifacts/*/Report/report/*/index.html")
    assert faults_of(page) == []
    assert headings(page) == recorded("report.png"), "python -m scripts.docs.screenshots takes it again"


def test_its_card_says_the_gates_numbers_and_reads_well(root, faults_of):
    (version,) = versions(root)
    pushed = root / f"pushed/vaeiaf-photo-patches/{version}"
    (history,) = (json.loads(path.read_text()) for path in root.glob("artifacts/*/Trainer/model_run/*/history.json"))
    card = read_card(str(pushed))
    assert card.figures["elbo"] == pytest.approx(history["test"]["elbo"], abs=0.006)
    assert card.figures["elbo_lower"] < card.figures["elbo"] < card.figures["elbo_upper"] < card.figures["ceiling"]
    assert (card.data.train_images, card.data.test_images) == (6000, 1000)
    assert set(card.serving.latency) == set(SIGNATURES)
    assert (card.measure.shape, card.measure.bits_per_dim) == ("32x32x3", None)
    assert card.run
    assert faults_of(pushed / HTML) == []


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
    assert code == exit_codes.DONE
    assert "Nothing was trained" in console
    assert f"UNCHANGED: this model is already the newest version, {root}" in console
    for name in (
        *("ImageExampleGen", "StatisticsGen", "StrictExampleValidator", "Transform", "Trainer"),
        "ServingCheck",
    ):
        assert took(console, name) == "cached"
    assert versions(root) == before


def test_a_better_run_is_pushed_beside_the_first(run, root):
    code, console = run("--epochs=4")
    assert code == exit_codes.DONE
    lower = re.search(r"Last blessed model -\d+\.\d\d: the gain over 1000 .* between ([+-][\d.]+) and", console).group(
        1
    )
    assert float(lower) > 0.0
    assert len(versions(root)) == 2


def test_a_worse_run_is_refused_with_both_numbers_and_pushes_nothing(run, root):
    before = versions(root)
    code, console = run("--epochs=1", "--learning-rate=1e-4")
    assert code == exit_codes.REFUSED
    assert re.search(
        r"REFUSED: the test-set ELBO is -\d+\.\d\d, the last blessed model's -\d+\.\d\d .* worse by more than the 1.00",
        console,
    )
    assert versions(root) == before


def test_a_run_below_the_bound_is_refused(run, root):
    code, console = run("--epochs=4", "--min-elbo=-500")
    assert code == exit_codes.REFUSED
    assert re.search(r"REFUSED: the test-set ELBO -\d+\.\d\d is below the bound -500.00", console)
    assert len(versions(root)) == 2


def test_a_refused_model_does_not_become_the_baseline(run):
    code, console = run("--epochs=4")
    assert code == exit_codes.DONE
    assert re.search(r"Last blessed model -\d+\.\d\d: the same on each of 1000 paired images\n", console)


def test_a_deleted_model_directory_is_filled_again(run, root):
    for path in sorted((root / "pushed").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    code, console = run("--epochs=4")
    assert code == exit_codes.DONE
    assert "PUSHED to " in console
    assert len(versions(root)) == 1


def test_a_baseline_in_other_units_stops_the_run_before_training(run, root):
    before = versions(root)
    code, console = run("--epochs=1", "--eval-samples=2")
    assert code == exit_codes.BAD_INPUT
    assert "K = 2, got 'Bernoulli" in console
    assert "training on" not in console
    assert versions(root) == before


def test_a_resolver_that_fails_stops_the_run_and_lets_nothing_out(run, root, monkeypatch):
    def fail(*_):
        raise OSError("the store is gone")

    before = versions(root)
    monkeypatch.setattr("components.gate.last_blessed.LastBlessedModelStrategy.resolve_artifacts", fail)
    code, console = run("--epochs=1", "--seed=8")
    assert code == exit_codes.FAILED
    assert "LastBlessedModel did not finish" in console
    assert "Trainer" not in console
    assert versions(root) == before


def test_an_anomaly_stops_the_run_before_training(run, tmp_path, monkeypatch):
    schema = (SCHEMAS / "default/schema.pbtxt").read_text()
    (tmp_path / "schemas/default").mkdir(parents=True)
    known = schema.replace('name: "label"', 'name: "label" string_domain { value: "0" }')
    (tmp_path / "schemas/default/schema.pbtxt").write_text(known)
    monkeypatch.setattr("pipeline.dag.SCHEMAS", tmp_path / "schemas")
    data_dir = write_toy(tmp_path / "data", rows("train", 40, 0), rows("test", 10, 100))
    code, console = run(f"--data-dir={data_dir}", dataset="toy", root=tmp_path / "root")
    assert code == exit_codes.BAD_INPUT
    assert "split test: feature label: Unexpected string values" in console
    assert "Trainer" not in console
    assert not (tmp_path / "root/pushed").exists()


def test_a_truncated_image_stops_the_run_by_its_id(run, tmp_path):
    data_dir = write_toy(tmp_path / "data", [*rows("train", 40, 0), ("cut", png(7)[:500], 0)], rows("test", 10, 100))
    code, console = run(f"--data-dir={data_dir}", dataset="toy", root=tmp_path / "root")
    assert code == exit_codes.BAD_INPUT
    assert "vaeiaf: 1 of 51 images cannot be read" in console
    assert "image cut, format: expected a complete PNG" in console
    assert "StatisticsGen" not in console
    assert "failed in ImageExampleGen" in (tmp_path / "root/index.html").read_text(), "the page of all runs"


def test_a_directory_without_labels_is_trained_on_and_no_page_has_figures_of_labels(tmp_path, capfd, monkeypatch):
    files = {f"{name}.png": image for name, image, _ in gradients("image", 150, 0)}
    data = write_files(tmp_path / "faces", files | {"notes.txt": b"no image"})
    series = Series(tmp_path / "root", None, capfd, data=data)
    code, console = series.run("--test-share=0.2")
    assert (code, "vaeiaf: 1 of 151 images cannot be read" in console) == (exit_codes.BAD_INPUT, True)
    assert "StatisticsGen" not in console
    code, console = series.run("--test-share=0.2", "--max-unreadable=0.01")
    assert code == exit_codes.DONE, console
    test = int(re.search(r"held out, (\d+) test", console).group(1))
    assert 8 <= test <= 55, "binomial of 150 draws of 0.2, five standard deviations"
    assert len(series.versions()) == 1
    assert not re.search("(?i)per label|<th>label", report(console))
    assert "1 unreadable images were left out (--max-unreadable)" in report(console)


def test_a_damaged_record_stops_the_run_with_its_file_and_index(run, tmp_path):
    data_dir = write_toy(tmp_path / "data", rows("train", 40, 0), rows("test", 10, 100))
    (file,) = data_dir.glob("toy/1.0.0/toy-train*")
    content = file.read_bytes()
    file.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    code, console = run(f"--data-dir={data_dir}", dataset="toy", root=tmp_path / "root")
    assert code == exit_codes.BAD_INPUT
    assert f"vaeiaf: {file}: record 1, counted from 0, is damaged: corrupt" in console
    assert "Copy the data set again, or delete its folder and prepare it again\n" in console
    assert "StatisticsGen" not in console


def test_a_root_may_have_any_name_that_is_not_refused(toy, tmp_path, capfd):
    name = "per%2Fcent # Größe {a,b}]~'$(x) 漢"
    for trained in ("epoch 1/1", "Nothing was trained"):
        code, console = Series(tmp_path / "roots" / name, toy, capfd).run()
        assert code == exit_codes.DONE, console
        assert trained in console
    assert [path.name for path in (tmp_path / "roots").iterdir()] == [name], "no stray folders"


def test_a_run_may_be_called_from_any_thread(series):
    series.ingest()
    done = []
    thread = threading.Thread(target=lambda: done.append(series.run()))
    thread.start()
    thread.join()
    ((code, console),) = done
    assert code == exit_codes.DONE, console


class Interrupted(trainer.training.loop.TrainStep):
    """Takes its steps of the second epoch while a user presses Ctrl-C."""

    def __call__(self, pixels, rows, first, stop=False):
        if first > 0:
            signal.raise_signal(signal.SIGINT)
        return super().__call__(pixels, rows, first, stop)


def test_an_interrupted_run_leaves_no_half_model_and_the_next_one_resumes(series, monkeypatch):
    series.ingest()
    with monkeypatch.context() as patch:
        patch.setattr(trainer.training.loop, "TrainStep", Interrupted)
        code, console = series.run("--epochs=100000")
    assert code == 130
    assert "epoch 1/100000" in console
    assert "vaeiaf: interrupted by SIGINT" in console
    assert not series.pushed.exists()
    assert not list(series.root.glob("artifacts/*/Trainer/model/*"))
    code, console = series.run()
    assert code == exit_codes.DONE
    assert took(console, "ImageExampleGen") == "cached"


def test_a_broken_model_is_refused(series, monkeypatch):
    train = trainer.workers.job.train_and_evaluate

    def train_and_break(*arguments):
        result = train(*arguments)
        variable = result.model.trainable_variables[0]
        variable.assign(tf.fill(variable.shape, np.nan))
        return result

    series.ingest()
    monkeypatch.setattr(trainer.workers.job, "train_and_evaluate", train_and_break)
    code, console = series.run()
    assert code == exit_codes.REFUSED
    assert "REFUSED: the test-set ELBO is nan, not a finite number" in console
    assert not series.pushed.exists()


def test_a_model_that_cannot_be_loaded_is_refused_and_has_pages_without_pictures(series, monkeypatch):
    """It becomes no baseline, and no later run trains it again."""

    def damage(trained, examples, path):
        pathlib.Path(path, "saved_model.pb").write_bytes(b"damaged")

    series.ingest()
    with monkeypatch.context() as patch:
        patch.setattr(trainer.export, "write_warmup", damage)
        code, console = series.run()
    assert code == exit_codes.REFUSED, console
    assert "REFUSED: a fresh process cannot load the model: " in console
    assert not series.pushed.exists()
    assert "a fresh process cannot load the model: " in report(console)
    assert "<img class" not in report(console)
    code, console = series.run()
    assert code == exit_codes.REFUSED, console
    assert took(console, "Trainer") == took(console, "ServingCheck") == "cached"
    code, console = series.run("--seed=7")
    assert code == exit_codes.DONE, console
    assert "Last blessed model" not in console


def test_a_model_that_answers_wrongly_is_refused_with_its_numbers(series, monkeypatch):
    """Its weights changed between the training and the export."""
    trained = trainer.export.Servable.trained

    def change(servable):
        (bias, *_) = [variable for variable in servable.model.trainable_variables if variable.shape.rank == 1]
        bias.assign_add(tf.fill(bias.shape, 0.5))
        return trained(servable)

    series.ingest()
    monkeypatch.setattr(trainer.export.Servable, "trained", change)
    code, console = series.run()
    assert code == exit_codes.REFUSED, console
    assert "REFUSED: the signature evaluate of 1 images differs from the trainer in elbo by up to " in console
    assert re.search(r"^Serving: loaded in .* nats of the trainer's$", console, re.MULTILINE)
    assert "Serving: loaded in" in report(console)
    assert "<img class" in report(console)
    assert not series.pushed.exists()


def test_an_edit_of_the_training_code_retrains_to_the_same_model_and_ingests_nothing(series, monkeypatch):
    of = components.train.code.code_of
    series.first()
    monkeypatch.setattr(
        pipeline.state.cache, "code_of", lambda node: of(node) + ("-edited" if node == "Trainer" else "")
    )
    _, console = series.run()
    assert took(console, "Trainer") != "cached"
    assert took(console, "ImageExampleGen") == took(console, "Transform") == "cached"
    assert "UNCHANGED" in console  # the same seed, so the same weights


def test_a_served_model_whose_artifact_is_gone_stops_the_run(series):
    series.first()
    before = series.versions()
    series.only("Trainer/model").rename(series.root / "moved")
    code, console = series.run("--seed=7")
    assert code == exit_codes.FAILED
    assert f"vaeiaf: version {before[-1]}, which is served from" in console
    assert "pass --no-baseline" in console
    assert "training on" not in console
    assert series.versions() == before


def test_a_tuner_finds_a_configuration_that_the_trainer_uses(series):
    series.ingest()
    code, console = series.run("--tune=2", "--strategy=mirrored")
    assert code == exit_codes.DONE
    assert "trial 2 of 2: learning_rate" in console
    found = series.only("Tuner/best_hyperparameters/*/*")
    config = json.loads(series.only("Trainer/model_run/*/history.json").read_text())["config"]
    for name, value in json.loads(found.read_text())["values"].items():
        assert config[name] == value


def test_a_warm_start_starts_from_the_last_blessed_model_if_there_is_one(series):
    still = "--learning-rate=1e-9"
    series.ingest()
    code, first = series.run("--warm-start")
    assert code == exit_codes.DONE
    assert "no blessed model yet: starting from random weights" in first
    model = series.only("Trainer/model/*/Format-Serving")
    code, console = series.run("--warm-start", still)
    assert code == exit_codes.DONE
    assert f"starting from the weights of {model}" in console
    assert elbo(console) == pytest.approx(elbo(first), abs=0.02)
    one, other = (read_card(str(series.pushed / str(version))) for version in series.versions())
    assert (one.training.base_model, other.training.base_model) == (None, one.model)
    assert "2 pushed" in (series.root / "index.html").read_text(), "each run writes the page of all runs"
    _, console = series.run("--warm-start", still)
    assert took(console, "Trainer") != "cached", "there is a new model to start from"
    code, console = series.run("--warm-start", "--set=hidden_size=4")
    assert code == exit_codes.BAD_INPUT
    assert "encoder/hidden/w" in console
    assert "training on" not in console


def test_every_label_and_a_closer_look_are_in_the_report(series):
    series.ingest()
    code, console = series.run("--set=importance_samples=5", "--set=decoder=DiscretizedLogisticMLP")
    assert code == exit_codes.DONE
    assert " bits/dim" in console
    for text in ("bits/dim", "Importance-weighted bound of 5 draws", "<th>label</th>"):
        assert text in report(console)


def test_a_run_whose_terminal_is_closed_saves_and_ends_by_sighup(series):
    """The kernel sends SIGHUP to the process that the terminal belongs to, as when ssh is lost."""
    series.ingest()
    master, terminal = os.openpty()
    options = series.options("--epochs=100000", "--workers=2")

    def log_in():
        os.login_tty(terminal)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that run under nohup ignore it

    process = subprocess.Popen([sys.executable, "-m", "pipeline", "run", *options], preexec_fn=log_in)
    os.close(terminal)
    with open(master, "rb", buffering=0) as screen:
        console = b""
        while b"epoch 2/" not in console:
            console += screen.read(4096)
    assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert list(series.root.glob("training/*/*/step-*"))
    assert not list(series.root.glob("artifacts/*/Trainer/model/*"))
    newest = max((series.root / "logs").glob("*.log"), key=lambda log: log.stat().st_mtime)
    assert "interrupted by SIGHUP" in newest.read_text()
