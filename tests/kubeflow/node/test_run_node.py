"""Nodes run one by one through the container's command line, with SQLite and a folder as the volume."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import types

import pytest

from components.gate.pusher import Push
from components.gate.serving import versions
from kubeflow.node import tries
from kubeflow.run_node import main
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.compile import graph
from kubeflow.spec.contract import OUTPUTS
from kubeflow.spec.parameters import parameters
from pipeline.local import plan
from pipeline.outcome import Outcome
from pipeline.words import BAD_INPUT, FAILED, PUSHED, REFUSED
from series import gradients
from toy_data import write_toy
from trainer.errors import InterruptError, UserError
from trainer.failure import Failure, Kind, left

DEFAULTS = {name: found.default for name, found in parameters().items()}
TINY = {"hidden_size": 8, "latent_size": 2, "iaf_steps": 0}
SMALL = DEFAULTS | {"dataset": "toy", "preset": "smoke", "epochs": 1, "batch_size": 32, "settings": TINY}
SMALL |= {"min_elbo": "-100000", "max_regression": 1000.0}


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    path = tmp_path_factory.mktemp("volume")
    write_toy(path / "datasets", gradients("train", 200, 0), gradients("test", 50, 1000))
    return path


@pytest.fixture(scope="module")
def cluster(volume):
    return {
        "image": "vaeiaf",
        "namespace": "test",
        "volume": {"claim": "vaeiaf", "path": str(volume)},
        "database": {"kind": "sqlite", "wait_seconds": 0},
    }


@pytest.fixture
def termination_log(tmp_path, monkeypatch):
    """The file that Kubernetes would make, empty, for a pod's message."""
    path = tmp_path / "termination-log"
    path.touch()
    monkeypatch.setattr(tries, "TERMINATION_LOG", str(path))
    return path


@pytest.fixture
def node(cluster, tmp_path, capfd):
    """Runs a node of a run; returns its exit code and what its container prints."""

    def run(name, run_id, cluster=cluster, **parameters):
        values = {**SMALL, **parameters, "run_id": run_id}
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
def test_a_run_pushes_and_the_next_is_cached_up_to_a_gate_that_refuses(run, node, volume, tmp_path, termination_log):
    first = run("run-1")
    assert {code for code, _ in first.values()} == {PUSHED}
    assert not cached(first)
    assert "Tuner has nothing to do with these parameters" in first["Tuner"][1]
    assert "epoch 1/1" in first["Trainer"][1]
    pushed = volume / "pushed/vaeiaf-toy"
    (version,) = versions(str(pushed))
    assert f"PUSHED to {pushed / str(version)}" in first["Verdict"][1]
    html = pathlib.Path(tmp_path, "run-1/Evaluator/html").read_text()
    assert "blessed" in html.lower()
    numbers = json.loads(pathlib.Path(tmp_path, "run-1/Evaluator/output.json").read_text())
    assert numbers["artifacts"]["metrics"]["artifacts"][0]["metadata"]["blessed"] == 1

    refused = run("run-2", min_elbo="-100")
    assert {"ImageExampleGen", "StatisticsGen", "Transform", "Trainer"} <= cached(refused)
    assert refused["Verdict"][0] == REFUSED
    assert {code for name, (code, _) in refused.items() if name != "Verdict"} == {PUSHED}
    failure = left(str(termination_log))
    assert (failure.kind, "the bound -100.00" in failure.sentence) == (Kind.REFUSED, True)
    assert f"REFUSED: {failure.sentence}." in refused["Verdict"][1]
    assert left(str(volume / "logs/run-2/Verdict.error.json")) == failure
    assert "below the bound -100.00" in pathlib.Path(tmp_path, "run-2/Evaluator/html").read_text()
    assert versions(str(pushed)) == [version]

    # Kubeflow tries again what it did not see end
    code, console = node("AtomicPusher", "run-1")
    assert (code, "was finished by an earlier attempt" in console) == (PUSHED, True)
    assert node("Report", "run-1")[0] == node("Verdict", "run-1")[0] == PUSHED


@pytest.mark.slow
def test_sigterm_ends_the_trainer_after_a_checkpoint_with_a_code_to_try_again(node, cluster, volume):
    for name in graph(Cluster(**cluster)):
        if name == "Trainer":
            break
        node(name, "run-stopped", seed=5)
    log = volume / "logs/run-stopped/Trainer.log"

    def stop_in_the_second_epoch():
        while not (log.exists() and "epoch 2/500" in log.read_text()):
            if done.wait(0.1):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    done = threading.Event()
    thread = threading.Thread(target=stop_in_the_second_epoch)
    thread.start()
    code, console = node("Trainer", "run-stopped", epochs=500, seed=5)
    done.set()
    thread.join()
    assert code == 128 + signal.SIGTERM
    failure = left(str(log.with_suffix(".error.json")))
    assert (failure.kind, failure.value) == (Kind.STOPPED, "SIGTERM")
    assert f"vaeiaf: {failure}\n" in console
    (state,) = (volume / "training/vaeiaf-toy").glob("run-stopped*")
    assert list(state.glob("step-*"))


def test_a_node_whose_predecessors_did_not_run_fails_and_says_so(node, termination_log):
    code, console = node("Trainer", "run-without-data")
    assert code == FAILED
    failure = left(str(termination_log))
    assert (failure.kind, failure.sentence.startswith("Trainer ")) == (Kind.INFRASTRUCTURE, True)
    assert f"vaeiaf: {failure}\n" in console
    assert "Traceback" not in console


def test_the_verdict_on_a_run_that_is_not_whole_is_no_success(node, termination_log):
    assert node("Verdict", "run-that-never-was")[0] == FAILED
    failure = left(str(termination_log))
    assert (failure.kind, "run-that-never-was" in failure.sentence) == (Kind.INFRASTRUCTURE, True)


@pytest.mark.parametrize(
    ("parameters", "value"),
    [
        ({"epochs": -1}, -1),
        ({"preset": "best"}, "best"),
        ({"min_elbo": "high"}, "high"),
        ({"settings": {"hiden_size": 3}}, "hiden_size"),
        ({"max_regression": -1.0}, -1.0),
        ({"max_regression": 2.0, "no_baseline": True}, 2.0),
        ({"dataset": "no_such_dataset"}, "no_such_dataset"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(node, termination_log, parameters, value):
    code, console = node("ImageExampleGen", "bad", **parameters)
    assert code == BAD_INPUT
    failure = left(str(termination_log))
    assert failure.kind == Kind.BAD_INPUT
    assert str(value) in str(failure)
    assert f"vaeiaf: {failure}\n" in console
    assert "Traceback" not in console


def test_a_container_that_is_told_nonsense_ends_with_2(cluster):
    told = {"inputs": {"parameterValues": {"run_id": "r", "preset": "best"}}}
    arguments = ["--node=Schema", f"--cluster={json.dumps(cluster)}", f"--executor-input={json.dumps(told)}"]
    done = subprocess.run([sys.executable, "-m", "kubeflow.run_node", *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (BAD_INPUT, "", 1)
    assert done.stderr.startswith("vaeiaf: preset: expected one of ")


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


def test_bad_input_is_not_tried_again(tried, termination_log, volume):
    diverged = UserError("the loss is nan", value="nan", remedy="Lower learning_rate")
    assert tried(0, "run-bad", raising(diverged))[::2] == (BAD_INPUT, True)
    for number in (1, 2, 10):
        assert left(str(termination_log)) == left(str(volume / "logs/run-bad/Trainer.error.json")) == diverged.failure
        termination_log.write_text("")
        code, console, began = tried(number, "run-bad", raising(diverged))
        assert (code, began) == (BAD_INPUT, False)
        assert (
            "vaeiaf: not tried again, because the previous attempt found bad input: the loss is nan. "
            "Lower learning_rate\n"
        ) in console
    assert tried(1, "run-other", lambda: PUSHED)[::2] == (PUSHED, True)


def test_retry_in_the_ui_tries_again_whatever_was_before_and_so_do_the_tries_after_it(tried):
    assert tried(0, "run-fixed", raising(UserError("no right to create jobs")))[0] == BAD_INPUT
    assert tried(0, "run-fixed", raising(RuntimeError("the machine is gone")))[::2] == (FAILED, True)
    assert tried(1, "run-fixed", lambda: PUSHED)[::2] == (PUSHED, True)


def test_what_may_pass_is_tried_again(tried):
    assert tried(0, "run-lost", raising(RuntimeError("the machine is gone")))[0] == FAILED
    code, console, work = tried(1, "run-lost", raising(InterruptError(signal.SIGTERM)))
    assert (code, work) == (128 + signal.SIGTERM, True)
    assert (
        "vaeiaf: interrupted by SIGTERM. The next attempt at this run (Retry in the UI) resumes after the last "
        "finished component or checkpoint\n"
    ) in console
    assert tried(2, "run-lost", lambda: PUSHED)[::2] == (PUSHED, True)


def test_a_person_reads_the_pods_message_first(node, termination_log, monkeypatch, tmp_path):
    node("ImageExampleGen", "bad", preset="best")
    assert termination_log.read_text().startswith('{"message": "preset: expected one of seed')
    monkeypatch.setattr(tries, "TERMINATION_LOG", str(tmp_path / "none"))
    node("ImageExampleGen", "bad", preset="best")
    assert not (tmp_path / "none").exists(), "it is Kubernetes' to make"


def test_a_refusal_is_the_message_of_the_verdicts_pod(node, termination_log, monkeypatch):
    verdict = types.SimpleNamespace(blessed=False, notes=[], reasons=["the ELBO is low", "label 3 is worse"])
    outcome = Outcome(verdict, Push(None, None, None, None), "report", trained=True)
    monkeypatch.setattr("kubeflow.node.work.read_outcome", lambda store, run_id: outcome)
    assert node("Verdict", "r")[0] == REFUSED
    assert left(str(termination_log)) == Failure(Kind.REFUSED, "the ELBO is low; label 3 is worse")


def test_a_node_that_the_image_does_not_know_is_no_success(node, termination_log):
    assert node("Discriminator", "r")[0] == BAD_INPUT
    failure = left(str(termination_log))
    assert failure.value == "Discriminator"
    assert str(failure) == (
        "the pipeline of this image has no node Discriminator: the run was compiled by another version. Upload the "
        "pipeline of this version, or name the image of the other version in cluster.yaml"
    )


def test_a_page_that_cannot_be_made_fails_nothing(node, monkeypatch, tmp_path, volume):
    monkeypatch.setattr(
        "kubeflow.node.work._finished", lambda task, store: True
    )  # which it is not, so nothing can be drawn
    code, console = node("Evaluator", "run-undrawn")
    assert code == PUSHED
    assert "Evaluator is done, but its page could not be made; see the log" in console
    assert "Traceback" in (volume / "logs/run-undrawn/Evaluator.log").read_text()
    written = json.loads((tmp_path / "run-undrawn/Evaluator/output.json").read_text())
    assert written["artifacts"]["metrics"]["artifacts"][0]["metadata"] == {}

    def stopped(store, run_id):
        raise InterruptError(signal.SIGTERM)

    monkeypatch.setattr("kubeflow.node.work.executions_of", stopped)
    assert node("Evaluator", "run-undrawn")[0] == 128 + signal.SIGTERM


def test_a_tpu_is_another_pods_device_and_any_other_the_trainers_own(node, monkeypatch):
    seen = []
    monkeypatch.setattr("kubeflow.node.work.launch_node", lambda *_: False)
    monkeypatch.setattr("kubeflow.node.work.plan", lambda *given: seen.append(given[-1].apart) or plan(*given))
    for run_id, strategy in (("one", "tpu"), ("two", "tpu:local"), ("three", "auto")):
        node("Schema", run_id, strategy=strategy)
    assert seen == [True, True, False]


def test_a_volume_that_is_not_mounted_is_named(node, cluster, tmp_path, termination_log):
    path = str(tmp_path / "nothing")
    assert node("ImageExampleGen", "r", {**cluster, "volume": {"claim": "vaeiaf", "path": path}})[0] == BAD_INPUT
    failure = left(str(termination_log))
    assert failure.value == path
    assert str(failure) == (
        f"{path} is not a volume that user {os.getuid()} in group {os.getgid()} can write: no such folder. Check "
        "volume in cluster.yaml, and the owner of the claim vaeiaf"
    )


def test_a_database_that_does_not_answer_is_named_and_may_be_tried_again(node, cluster, monkeypatch, termination_log):
    monkeypatch.setenv("MLMD_PASSWORD", "x")
    nowhere = {**cluster, "database": {"kind": "mysql", "host": "127.0.0.1", "port": 9, "wait_seconds": 0}}
    assert node("ImageExampleGen", "r", nowhere)[0] == FAILED
    failure = left(str(termination_log))
    assert failure.kind == Kind.INFRASTRUCTURE
    assert "127.0.0.1:9" in str(failure)


def test_a_missing_password_is_bad_input(node, cluster, monkeypatch, termination_log):
    monkeypatch.delenv("MLMD_PASSWORD", raising=False)
    assert node("ImageExampleGen", "r", {**cluster, "database": {"secret": "mlmd"}})[0] == BAD_INPUT
    assert left(str(termination_log)).value == "MLMD_PASSWORD"
