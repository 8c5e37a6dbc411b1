"""Tasks run one by one through the container's command line, with SQLite and a folder as the volume."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from webhook_receiver import Receiver

from components.gate.pusher import Push
from components.gate.serving import versions
from components.gate.verdict import Verdict
from kubeflow.node import attempt, notify, supervisor
from kubeflow.run_node import main
from kubeflow.spec.contract import ARGO_NODE, METRICS, OUTCOME, PAGES
from kubeflow.spec.parameters import parameters
from kubeflow.spec.tasks import TASKS, VERDICT, left_out, nodes_of
from own_data import write_files
from pipeline import local
from pipeline.beam import job_service
from pipeline.local import plan
from pipeline.outcome import Outcome
from pipeline.settings import PipelineConfig
from series import gradients
from tables import Tables
from toy_data import write_toy
from trainer.errors import InterruptError
from trainer.exit_codes import BAD_INPUT, DONE, FAILED, REFUSED
from trainer.failure import Failure, Kind, left

DEFAULTS = {name: found.default for name, found in parameters().items()}
TINY = {"hidden_size": 8, "latent_size": 2, "iaf_steps": 0, "importance_samples": 0}
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
def arguments(cluster, tmp_path):
    """The arguments with which Kubeflow starts a task of a run."""

    def of(name, run_id, cluster=cluster, **parameters):
        folder = tmp_path / run_id / name
        outputs = {kinds[node] for node in nodes_of(name) for kinds in (PAGES, METRICS) if node in kinds}
        artifacts = {output: {"artifacts": [{"name": output, "uri": str(folder / output)}]} for output in outputs}
        told = {
            "inputs": {"parameterValues": {**SMALL, **parameters, "run_id": run_id}},
            "outputs": {"artifacts": artifacts, "outputFile": str(folder / "output.json")},
        }
        cluster = {**cluster, "retries": {"count": 0}}
        return ["--node", name, "--cluster", json.dumps(cluster), "--executor-input", json.dumps(told)]

    return of


@pytest.fixture
def node(arguments, monkeypatch, capfd):
    """Runs a task of a run, its work in this process; returns its exit code and what its container prints."""

    def work(task, given):
        return left(task.error_file) if attempt.main(given) else None

    def run(*task, **parameters):
        monkeypatch.setattr("kubeflow.run_node.run_process", work)
        code = main(arguments(*task, **parameters))
        output = capfd.readouterr()
        return code, output.out + output.err

    return run


@pytest.fixture
def told(cluster):
    """Runs the exit handler of a run: the event that a webhook gets of it; None if there is none."""

    def tell(run_id, **parameters):
        executor_input = json.dumps({"inputs": {"parameterValues": {**SMALL, **parameters, "run_id": run_id}}})
        with Receiver() as receiver:
            settings = json.dumps({**cluster, "notify": {"url": receiver.url}})
            notify.main(["--node=notify", f"--cluster={settings}", f"--executor-input={executor_input}"])
        return json.loads(receiver.received[0].body) if receiver.received else None

    return tell


@pytest.fixture
def run(node):
    """Runs the tasks of a run up to the first that fails; returns each one's exit code and console."""

    def all_tasks(run_id, **parameters):
        done = {}
        for name in TASKS:
            done[name] = node(name, run_id, **parameters)
            if done[name][0]:
                break
        return done

    return all_tasks


def cached(done):
    return {name for _, console in done.values() for name in re.findall(r"(\w+) +cached$", console, re.MULTILINE)}


@pytest.mark.slow
def test_a_run_pushes_and_the_next_is_cached_up_to_a_gate_that_refuses(
    run, node, told, volume, tmp_path, termination_log
):
    first = run("run-1")
    assert {code for code, _ in first.values()} == {DONE}
    assert not cached(first)
    assert "Tuner has nothing to do with these parameters" in first["train"][1]
    assert "epoch 1/1" in first["train"][1]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(  |$)", line) for line in first["train"][1].splitlines())
    pushed = volume / "pushed/vaeiaf-toy"
    (version,) = versions(str(pushed))
    assert f"PUSHED to {pushed / str(version)}" in first["gate"][1]
    html = pathlib.Path(tmp_path, "run-1/gate/report_page").read_text()
    assert html == next(volume.rglob("Report/report/*/index.html")).read_text()
    assert len(html.encode()) < 2_000_000, "the UI shows it"
    page = Tables(html)
    nodes = {row[0].partition(" ")[0] for row in page.rows["nodes"][1:]}
    assert nodes == {name for stage in TASKS.values() for name in stage.nodes} - left_out(PipelineConfig()) - {
        "Report",
        VERDICT,
    }
    outputs = json.loads(pathlib.Path(tmp_path, "run-1/gate/output.json").read_text())["artifacts"]
    assert set(outputs) == {"evaluation_metrics", "report_page"}
    assert outputs["evaluation_metrics"]["artifacts"][0]["metadata"]["blessed"] == 1

    refused = run("run-2", min_elbo="-100")
    assert {"ImageExampleGen", "StatisticsGen", "Transform", "Trainer"} <= cached(refused)
    assert {name: code for name, (code, _) in refused.items()} == {"ingest": DONE, "train": DONE, "gate": REFUSED}
    failure = left(str(termination_log))
    assert (failure.kind, "the bound -100.00" in failure.sentence) == (Kind.REFUSED, True)
    assert f"REFUSED: {failure.sentence}." in refused["gate"][1]
    assert left(str(volume / "logs/run-2/gate.error.json")) == failure
    html = pathlib.Path(tmp_path, "run-2/gate/report_page").read_text()
    assert "below the bound -100.00" in html
    page = Tables(html)
    assert page.rows["changes"] == [["min_elbo -100000.0 → -100.0"]]
    assert page.told("nodes", "Trainer") == ["made by the run run-1", "cached"]
    assert page.told("nodes", "Evaluator")[0].startswith("setting ")
    assert versions(str(pushed)) == [version]

    event, other = told("run-1"), told("run-2", min_elbo="-100")
    assert (event["type"], event["data"]["pushed_to"]) == ("io.vaeiaf.model.pushed", str(pushed / str(version)))
    assert (other["type"], other["data"]["reasons"]) == ("io.vaeiaf.model.refused", [failure.sentence])

    # Kubeflow tries again what it did not see end
    code, console = node("gate", "run-1")
    assert (code, console.count("was finished by an earlier attempt")) == (DONE, 4)
    # A pipeline of version 0.1 has a task for each node
    code, console = node("AtomicPusher", "run-1")
    assert (code, console.count("was finished by an earlier attempt")) == (DONE, 1)
    assert node("Report", "run-1")[0] == node("Verdict", "run-1")[0] == DONE


@pytest.mark.slow
def test_a_run_keeps_its_spans_though_its_pods_start_again_and_directories_come(
    run, node, told, volume, monkeypatch, termination_log, tmp_path
):
    def arrive(number):
        for name, image, label in gradients("x", 60, 1000 * number, (8, 8, 1)):
            write_files(volume / f"photos/{number}", {f"c{label % 2}/{name}.png": image, "_SUCCESS": b""})

    def lose_the_pod(pipeline, node, *rest):
        if node.node_info.id == "StatisticsGen":
            raise InterruptError(signal.SIGTERM)
        return launch(pipeline, node, *rest)

    spans = {"dataset": DEFAULTS["dataset"], "data": "photos/{SPAN}", "span_marker": "_SUCCESS"}
    arrive(1)
    launch = local.launch_node
    monkeypatch.setattr("pipeline.local.launch_node", lose_the_pod)
    assert node("ingest", "spans-1", **spans)[0] == 128 + signal.SIGTERM
    monkeypatch.setattr("pipeline.local.launch_node", launch)
    arrive(2)
    monkeypatch.setenv(ARGO_NODE, "ingest(1)")
    first = run("spans-1", **spans)
    monkeypatch.delenv(ARGO_NODE)
    assert {code for code, _ in first.values()} == {DONE}
    again = first["ingest"][1]
    finished = re.findall(r"(\w+) was finished by an earlier attempt", again)
    assert sorted(finished) == ["ImageExampleGen", "LastBlessedModel", "PreviousSpan", "Schema", "SpanWindow"]
    assert "span 1\n" in again
    assert all("span 2" not in console for _, console in first.values())
    assert "training on" in first["train"][1]
    assert told("spans-1", **spans)["type"] == "io.vaeiaf.model.pushed"
    html = pathlib.Path(tmp_path, "spans-1/gate/report_page").read_text()
    assert "<li>ingest: " in html, "an attempt of another task"
    page = Tables(html)
    assert page.rows["images"][0][0].startswith("span 1: ")

    second = run("spans-2", **spans)
    assert "span 2\n" in second["ingest"][1]
    assert "starting from the weights of" in second["train"][1]
    html = pathlib.Path(tmp_path, "spans-2/gate/report_page").read_text()
    assert re.search(r"from Images and Base model \(version \d+, digest \w+\)", html)
    page = Tables(html)
    assert page.told("nodes", "Schema, span 2") == ["made by the run spans-1.span-1", "cached"]
    assert "since the run spans-1.span-1" in page.told("nodes", "ImageExampleGen, span 2")[0]
    third = run("spans-3", **spans)
    assert {code for code, _ in third.values()} == {DONE}
    text = json.loads(re.search(r"\{.*\}", third["gate"][1].splitlines()[-1]).group())[OUTCOME]
    assert text.startswith("Nothing is new, so nothing was trained: the newest complete span is 2, and its model is ")
    assert told("spans-3", **spans) is None


@pytest.mark.slow
def test_sigterm_ends_the_training_after_a_checkpoint_with_a_code_to_try_again(node, arguments, told, volume):
    assert node("ingest", "run-stopped", seed=5)[0] == DONE
    log = volume / "logs/run-stopped/train.log"
    command = [sys.executable, "-m", "kubeflow.run_node", *arguments("train", "run-stopped", epochs=500, seed=5)]
    pod = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while not (log.exists() and "epoch 2/500" in log.read_text()):
        assert pod.poll() is None
        time.sleep(0.1)
    pod.terminate()
    console, _ = pod.communicate()
    assert pod.returncode == 128 + signal.SIGTERM
    failure = left(str(log.with_suffix(".error.json")))
    assert (failure.kind, failure.value) == (Kind.STOPPED, "SIGTERM")
    assert f"vaeiaf: {failure}\n" in console
    (state,) = (volume / "training/vaeiaf-toy").glob("run-stopped*")
    assert list(state.glob("step-*"))

    error_file = log.with_suffix(".error.json")
    assert told("run-stopped", seed=5)["data"]["message"] == str(failure)
    error_file.unlink()  # as of a pod that was killed
    lost = told("run-stopped", seed=5)["data"]
    assert (lost["task"], lost["kind"], lost["log"]) == ("train", "infrastructure", str(log))


@pytest.mark.parametrize(("nodes", "code"), [(["ImageExampleGen"], FAILED), (["Evaluator"], DONE)])
def test_beam_runs_on_the_cluster_s_engine_in_the_nodes_that_it_is_for(
    nodes, code, node, cluster, termination_log, monkeypatch
):
    monkeypatch.setattr(job_service, "ANSWER_SECONDS", 0.5)
    arguments = ["--job_endpoint=localhost:1", "--environment_type=LOOPBACK"]
    engine = {"runner": "PortableRunner", "args": arguments, "nodes": nodes}
    name = f"run-on-an-engine-for-{nodes[0].lower()}"
    other_data = {"allow_shared_images": True}  # which no other run here has ingested
    assert node("ImageExampleGen", name, {**cluster, "beam": engine}, **other_data)[0] == code
    if code == FAILED:
        assert left(str(termination_log)).value == "localhost:1"


def test_a_node_whose_predecessors_did_not_run_fails_and_says_so(node, termination_log):
    code, console = node("train", "run-without-data")
    assert code == FAILED
    failure = left(str(termination_log))
    assert (failure.kind, "did not finish" in failure.sentence) == (Kind.INFRASTRUCTURE, True)
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
    code, console = node("ingest", "bad", **parameters)
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
    assert "  vaeiaf: preset: expected one of " in done.stderr


def test_a_person_reads_the_pods_message_first(node, termination_log, monkeypatch, tmp_path):
    node("ingest", "bad", preset="best")
    assert termination_log.read_text().startswith('{"message": "preset: expected one of seed')
    monkeypatch.setattr(supervisor, "TERMINATION_LOG", str(tmp_path / "none"))
    node("ingest", "bad", preset="best")
    assert not (tmp_path / "none").exists(), "it is Kubernetes' to make"


def test_a_refusal_is_the_message_of_the_verdicts_pod(node, termination_log, monkeypatch):
    verdict = Verdict(False, {}, None, {}, ["the ELBO is low", "label 3 is worse"], [])
    outcome = Outcome(verdict, Push(None, None, None, None), "report", trained=True)
    monkeypatch.setattr("kubeflow.node.work.read_outcome", lambda store, run_id: outcome)
    assert node("Verdict", "r")[0] == REFUSED  # a task of version 0.1
    assert left(str(termination_log)) == Failure(Kind.REFUSED, "the ELBO is low; label 3 is worse")


def test_the_last_line_of_a_success_is_its_outcome_for_a_client(node, monkeypatch):
    mean = {"elbo": -1852.214, "elbo_standard_error": 2.05, "images": 10000.0, "independent_pixels": -2117.8}
    verdict = Verdict(True, mean, None, {}, [], [])
    outcome = Outcome(verdict, Push(pushed_to="/mnt/vaeiaf/pushed/7"), "report", trained=True)
    monkeypatch.setattr("kubeflow.node.work.read_outcome", lambda store, run_id: outcome)
    code, console = node("Verdict", "r", min_elbo="-1900")
    last = console.splitlines()[-1]
    text = json.loads(last[last.index("{") :])[OUTCOME]
    assert code == DONE
    assert all(f"  {line}\n" in console for line in text.splitlines()), "a person reads it too"
    assert "Test-set ELBO -1852.21 nats per image, standard error 2.05 over 10000 images" in text
    assert "\nPUSHED to /mnt/vaeiaf/pushed/7\n" in text
    assert text.splitlines()[-1].startswith("Lower bounds: -1900.00 for the test-set ELBO")


def test_a_node_that_the_image_does_not_know_is_no_success(node, termination_log):
    assert node("Discriminator", "r")[0] == BAD_INPUT
    failure = left(str(termination_log))
    assert failure.value == "Discriminator"
    assert str(failure) == (
        "the pipeline of this image has no node Discriminator: the run was compiled by another version. Upload the "
        "pipeline of this version, or name the image of the other version in cluster.yaml"
    )


def test_a_page_that_cannot_be_made_fails_nothing(node, monkeypatch, tmp_path, volume):
    monkeypatch.setattr("kubeflow.node.work.is_finished", lambda *_: True)  # it is not, so nothing can be drawn
    code, console = node("Evaluator", "run-undrawn")
    assert code == DONE
    assert "Evaluator is done, but its page could not be made; see the log" in console
    assert "Traceback" in (volume / "logs/run-undrawn/Evaluator.log").read_text()
    written = json.loads((tmp_path / "run-undrawn/Evaluator/output.json").read_text())
    assert written["artifacts"]["evaluation_metrics"]["artifacts"][0]["metadata"] == {}

    def stopped(store, run_id):
        raise InterruptError(signal.SIGTERM)

    monkeypatch.setattr("kubeflow.node.work.executions_of", stopped)
    assert node("Evaluator", "run-undrawn")[0] == 128 + signal.SIGTERM


def test_a_single_worker_trains_apart_where_only_its_pod_has_the_device(node, cluster, monkeypatch):
    seen = []
    monkeypatch.setattr("kubeflow.node.work.launch_node", lambda *_: False)
    monkeypatch.setattr("kubeflow.node.work.plan", lambda *given: seen.append(given[-1].apart) or plan(*given))
    gpu = {"accelerator": "nvidia.com/gpu", "accelerators": 1}
    workers, own = {"workers": {"pod": gpu}}, {"tasks": {"Schema": gpu}}
    cases = [
        ("tpu", {}, True),
        ("tpu:local", {}, True),
        ("auto", {}, False),
        ("auto", workers, True),
        ("auto", workers | own, False),
        ("auto", workers | {"pod": gpu}, False),
        ("auto", own, False),
    ]
    for number, (strategy, settings, _) in enumerate(cases):
        node("Schema", f"run-{number}", cluster | settings, strategy=strategy)
    assert seen == [apart for _, _, apart in cases]


def test_a_volume_that_is_not_mounted_is_named(node, cluster, tmp_path, termination_log):
    path = str(tmp_path / "nothing")
    assert node("ingest", "r", {**cluster, "volume": {"claim": "vaeiaf", "path": path}})[0] == BAD_INPUT
    failure = left(str(termination_log))
    assert failure.value == path
    assert str(failure) == (
        f"{path} is not a volume that user {os.getuid()} in group {os.getgid()} can write: no such folder. Check "
        "volume in cluster.yaml, and the owner of the claim vaeiaf"
    )


def test_a_database_that_does_not_answer_is_named_and_may_be_tried_again(node, cluster, monkeypatch, termination_log):
    monkeypatch.setenv("MLMD_PASSWORD", "x")
    nowhere = {**cluster, "database": {"kind": "mysql", "host": "127.0.0.1", "port": 9, "wait_seconds": 0}}
    assert node("ingest", "r", nowhere)[0] == FAILED
    failure = left(str(termination_log))
    assert failure.kind == Kind.INFRASTRUCTURE
    assert "127.0.0.1:9" in str(failure)


def test_a_missing_password_is_bad_input(node, cluster, monkeypatch, termination_log):
    monkeypatch.delenv("MLMD_PASSWORD", raising=False)
    assert node("ingest", "r", {**cluster, "database": {"secret": "mlmd"}})[0] == BAD_INPUT
    assert left(str(termination_log)).value == "MLMD_PASSWORD"
