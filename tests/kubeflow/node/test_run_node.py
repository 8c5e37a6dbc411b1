"""Nodes run one by one through the container's command line, with SQLite and a folder as the volume."""

import dataclasses
import json
import pathlib
import signal
import subprocess
import sys
import types

import pytest

from components.gate.pusher import Push
from components.gate.serving import versions
from components.train.site import here
from kubeflow.node import tries
from kubeflow.run_node import main
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.compile import graph
from kubeflow.spec.contract import OUTPUTS
from kubeflow.spec.parameters import Parameters
from pipeline.outcome import Outcome
from pipeline.words import BAD_INPUT, FAILED, PUSHED, REFUSED
from trainer.errors import InterruptError, UserError

SMALL = {"dataset": "photo_patches", "preset": "smoke", "epochs": 1}


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    return tmp_path_factory.mktemp("volume")


@pytest.fixture(scope="module")
def cluster(volume):
    return {
        "image": "vaeiaf",
        "namespace": "test",
        "volume": {"claim": "vaeiaf", "path": str(volume)},
        "database": {"kind": "sqlite", "wait_seconds": 0},
    }


@pytest.fixture
def last_words(tmp_path, monkeypatch):
    """The file that Kubernetes would make for them."""
    path = tmp_path / "termination-log"
    path.touch()
    monkeypatch.setattr(tries, "LAST_WORDS", str(path))
    return path


@pytest.fixture
def node(cluster, tmp_path, capfd):
    """Runs a node of a run; returns its exit code and what its container prints."""

    def run(name, run_id, cluster=cluster, **parameters):
        values = {**dataclasses.asdict(Parameters()), **SMALL, **parameters, "run_id": run_id}
        folder = tmp_path / run_id / name
        artifacts = {
            output: {"artifacts": [{"name": output, "uri": str(folder / output)}]} for output in OUTPUTS.get(name, ())
        }
        told = {
            "inputs": {"parameterValues": values},
            "outputs": {"artifacts": artifacts, "outputFile": str(folder / "output.json")},
        }
        code = main(["--node", name, "--cluster", json.dumps(cluster), "--executor-input", json.dumps(told)])
        output = capfd.readouterr()
        return code, output.out + output.err

    return run


@pytest.fixture
def run(node, cluster):
    """Runs all nodes of a run up to the first that fails; returns each one's exit code and console."""

    def all_nodes(run_id, **parameters):
        done = {}
        for name in graph(Cluster(**cluster)):
            done[name] = node(name, run_id, **parameters)
            if done[name][0]:
                break
        return done

    return all_nodes


def cached(done):
    return {name for name, (_, console) in done.items() if "cached" in console}


@pytest.mark.slow
def test_a_run_pushes_the_next_is_cached_and_a_bound_refuses(run, node, volume, tmp_path, last_words):
    first = run("run-1")
    assert {code for code, _ in first.values()} == {PUSHED}
    assert not cached(first)
    assert "Tuner has nothing to do with these parameters" in first["Tuner"][1]
    assert "epoch 1/1" in first["Trainer"][1]
    pushed = volume / "pushed/vaeiaf-photo-patches"
    (version,) = versions(str(pushed))
    assert f"PUSHED to {pushed / str(version)}" in first["Verdict"][1]
    html = pathlib.Path(tmp_path, "run-1/Evaluator/html").read_text()
    assert "blessed" in html.lower()
    numbers = json.loads(pathlib.Path(tmp_path, "run-1/Evaluator/output.json").read_text())
    assert numbers["artifacts"]["metrics"]["artifacts"][0]["metadata"]["blessed"] == 1

    second = run("run-2")
    assert {"ImageExampleGen", "StatisticsGen", "Transform", "Trainer"} <= cached(second)
    assert "UNCHANGED" in second["Verdict"][1]

    refused = run("run-3", min_elbo="-100")
    assert refused["Verdict"][0] == REFUSED
    assert {code for name, (code, _) in refused.items() if name != "Verdict"} == {PUSHED}
    assert "REFUSED: its test-set ELBO" in refused["Verdict"][1]
    assert last_words.read_text().startswith(f"{tries.REFUSAL}its test-set ELBO")
    assert "below the bound -100.00" in pathlib.Path(tmp_path, "run-3/Evaluator/html").read_text()
    assert versions(str(pushed)) == [version]

    # Kubeflow tries again what it did not see end
    code, console = node("AtomicPusher", "run-1")
    assert (code, "was finished by an earlier try" in console) == (PUSHED, True)
    assert node("Report", "run-1")[0] == node("Verdict", "run-1")[0] == PUSHED


@pytest.mark.slow
def test_sigterm_ends_the_trainer_after_a_checkpoint_with_a_code_to_try_again(node, cluster, volume):
    for name in graph(Cluster(**cluster)):
        if name == "Trainer":
            break
        node(name, "run-stopped", seed=5)
    values = {**dataclasses.asdict(Parameters()), **SMALL, "epochs": 500, "seed": 5, "run_id": "run-stopped"}
    told = {"inputs": {"parameterValues": values}, "outputs": {"outputFile": str(volume / "output.json")}}
    arguments = ["--node=Trainer", f"--cluster={json.dumps(cluster)}", f"--executor-input={json.dumps(told)}"]
    with subprocess.Popen(
        [sys.executable, "-m", "kubeflow.run_node", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        console = ""
        for line in process.stdout:
            console += line
            if "epoch 2/500" in line:
                process.terminate()
    assert process.returncode == 128 + signal.SIGTERM
    assert "vaeiaf: interrupted by SIGTERM; the next try of this run (Retry in the UI) goes on after" in console
    (state,) = (volume / "training/vaeiaf-photo-patches").glob("run-stopped*")
    assert list(state.glob("step-*"))


def test_a_node_whose_predecessors_did_not_run_fails_and_says_so(node):
    code, console = node("Trainer", "run-without-data")
    assert code == FAILED
    assert "vaeiaf: Trainer did not finish" in console
    assert "Traceback" not in console


def test_the_verdict_on_a_run_that_is_not_whole_is_no_success(node):
    code, console = node("Verdict", "run-that-never-was")
    assert code == FAILED
    assert "no run run-that-never-was is recorded" in console


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"epochs": -1}, "epochs: expected at least 1, got -1"),
        ({"preset": "best"}, "preset: expected one of seed, default, resnet, logistic, smoke, got 'best'"),
        ({"min_elbo": "high"}, "min_elbo: expected a finite number"),
        ({"settings": {"hiden_size": 3}}, "'hiden_size'"),
        ({"max_regression": -1.0}, "max_regression: expected a number of nats per image that is not negative"),
        ({"dataset": "no_such_dataset"}, "no_such_dataset"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(node, parameters, complaint):
    code, console = node("ImageExampleGen", "bad", **parameters)
    assert code == BAD_INPUT
    assert complaint in console
    assert "Traceback" not in console


@pytest.fixture
def tried(node, monkeypatch):
    """Runs a node as Argo's try of this number, its work replaced; its exit code, its console, whether it worked."""

    def attempt(number, run_id, work):
        began = []
        monkeypatch.setattr("kubeflow.node.work.work", lambda task, story: began.append(task) or work())
        monkeypatch.setenv(tries.ARGO_NODE, f"vaeiaf-x7k2p.root.trainer.executor({number})")
        return *node("Trainer", run_id), bool(began)

    return attempt


def raising(error):
    def work():
        raise error

    return work


def test_bad_input_is_not_tried_again(tried, last_words):
    diverged = raising(UserError("the loss is no number: lower learning_rate"))
    assert tried(0, "run-bad", diverged)[::2] == (BAD_INPUT, True)
    assert last_words.read_text() == "the loss is no number: lower learning_rate"
    for number in (1, 2, 10):
        code, console, began = tried(number, "run-bad", diverged)
        assert (code, began) == (BAD_INPUT, False)
        assert "not tried again, because the try before ended with bad input: the loss is no number" in console
    assert tried(1, "run-other", lambda: PUSHED)[::2] == (PUSHED, True)


def test_retry_in_the_ui_tries_again_whatever_was_before_and_so_do_the_tries_after_it(tried):
    assert tried(0, "run-fixed", raising(UserError("no right to create jobs")))[0] == BAD_INPUT
    assert tried(0, "run-fixed", raising(RuntimeError("the machine is gone")))[::2] == (FAILED, True)
    assert tried(1, "run-fixed", lambda: PUSHED)[::2] == (PUSHED, True)


def test_what_may_pass_is_tried_again(tried):
    assert tried(0, "run-lost", raising(RuntimeError("the machine is gone")))[0] == FAILED
    code, console, work = tried(1, "run-lost", raising(InterruptError(signal.SIGTERM)))
    assert (code, work) == (128 + signal.SIGTERM, True)
    assert "interrupted by SIGTERM; the next try of this run (Retry in the UI) goes on after the last fin" in console
    assert tried(2, "run-lost", lambda: PUSHED)[::2] == (PUSHED, True)


def test_the_pods_last_words_are_the_sentence(node, last_words, monkeypatch, tmp_path):
    node("ImageExampleGen", "bad", preset="best")
    assert last_words.read_text().startswith("run parameter preset: expected one of seed")
    monkeypatch.setattr(tries, "LAST_WORDS", str(tmp_path / "none"))
    node("ImageExampleGen", "bad", preset="best")
    assert not (tmp_path / "none").exists(), "it is Kubernetes' to make"


def test_a_refusal_is_the_verdicts_last_word(node, last_words, monkeypatch):
    verdict = types.SimpleNamespace(blessed=False, notes=[], reasons=["the ELBO is low", "label 3 is worse"])
    outcome = Outcome(verdict, Push(None, None, None, None), "report", trained=True)
    monkeypatch.setattr("kubeflow.node.work.read_outcome", lambda store, run_id: outcome)
    assert node("Verdict", "r")[0] == REFUSED
    assert last_words.read_text() == "REFUSED: the ELBO is low; label 3 is worse"


def test_a_node_that_the_image_does_not_know_is_no_success(node):
    code, console = node("Discriminator", "r")
    assert code == BAD_INPUT
    assert "Discriminator is no node of this image's pipeline, so the run was compiled by another version" in console


def test_a_page_that_cannot_be_made_fails_nothing(node, monkeypatch, tmp_path, volume):
    monkeypatch.setattr(
        "kubeflow.node.work._finished", lambda task, store: True
    )  # which it is not, so nothing can be drawn
    code, console = node("Evaluator", "run-undrawn")
    assert code == PUSHED
    assert "Evaluator is done, but its page could not be made" in console
    assert "Traceback" in (volume / "logs/run-undrawn/Evaluator.log").read_text()
    written = json.loads((tmp_path / "run-undrawn/Evaluator/output.json").read_text())
    assert written["artifacts"]["metrics"]["artifacts"][0]["metadata"] == {}

    def stopped(task, store):
        raise InterruptError(signal.SIGTERM)

    monkeypatch.setattr("kubeflow.node.work._drawn", stopped)
    assert node("Evaluator", "run-undrawn")[0] == 128 + signal.SIGTERM


def test_a_tpu_is_another_pods_device_and_any_other_the_trainers_own(node, monkeypatch):
    seen = []
    monkeypatch.setattr("kubeflow.node.work.launch_node", lambda *_: seen.append(here.apart))
    for run_id, strategy in (("one", "tpu"), ("two", "tpu:local"), ("three", "auto")):
        node("Schema", run_id, strategy=strategy)
    assert seen == [True, True, False]


def test_a_volume_that_is_not_mounted_is_named(node, cluster, tmp_path):
    elsewhere = {**cluster, "volume": {"claim": "vaeiaf", "path": str(tmp_path / "nothing")}}
    code, console = node("ImageExampleGen", "r", cluster=elsewhere)
    assert code == BAD_INPUT
    assert f"expected the volume vaeiaf at {tmp_path / 'nothing'}" in console


def test_a_database_that_does_not_answer_is_named_and_may_be_tried_again(node, cluster, monkeypatch):
    monkeypatch.setenv("MLMD_PASSWORD", "x")
    nowhere = {**cluster, "database": {"kind": "mysql", "host": "127.0.0.1", "port": 9, "wait_seconds": 0}}
    code, console = node("ImageExampleGen", "r", cluster=nowhere)
    assert code == FAILED
    assert "127.0.0.1:9 does not answer" in console


def test_a_missing_password_names_the_secret(node, cluster, monkeypatch):
    monkeypatch.delenv("MLMD_PASSWORD", raising=False)
    code, console = node("ImageExampleGen", "r", cluster={**cluster, "database": {"secret": "mlmd"}})
    assert code == BAD_INPUT
    assert "expected the database's password in MLMD_PASSWORD, from the secret mlmd; got none" in console
