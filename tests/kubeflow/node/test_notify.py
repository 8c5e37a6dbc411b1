"""The exit handler, with a folder as the volume and a real webhook."""

import json
import os
import subprocess
import sys
import types

import pytest
import standardwebhooks
from webhook_receiver import SECRET, Receiver

from components.gate.pusher import Push
from kubeflow.node import notify
from kubeflow.spec.contract import ARGO_NODE
from kubeflow.spec.parameters import parameters
from pipeline.outcome import Outcome
from pipeline.settings import NOTIFY_SECRET
from trainer.exit_codes import BAD_INPUT, DONE, FAILED, REFUSED
from trainer.failure import Failure, Kind, leave, left

DEFAULTS = {name: found.default for name, found in parameters().items()}
NAMED = {"name": "hook", "key": "secret"}


@pytest.fixture
def receiver():
    with Receiver() as found:
        yield found


@pytest.fixture
def logs(tmp_path):
    """The folder of the run's logs, on the volume."""
    path = tmp_path / "volume" / "logs" / "run-1"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def arguments(receiver, logs):
    """Makes the arguments of the exit handler's container."""

    def make(parameters=DEFAULTS, secret=NAMED, database=None, url=receiver.url):
        cluster = {
            "image": "vaeiaf",
            "namespace": "test",
            "volume": {"claim": "vaeiaf", "path": str(logs.parents[1])},
            "database": database or {"kind": "sqlite", "wait_seconds": 0},
            "notify": {"url": url, "secret": secret},
        }
        told = {"inputs": {"parameterValues": {**parameters, "run_id": "run-1"}}, "outputs": {}}
        return ["--node=notify", f"--cluster={json.dumps(cluster)}", f"--executor-input={json.dumps(told)}"]

    return make


@pytest.fixture
def exit_handler(arguments, receiver, monkeypatch, capfd):
    """Runs the exit handler: its exit code, the events that arrived, and what its container prints."""
    monkeypatch.setenv(NOTIFY_SECRET, SECRET)

    def run(**given):
        receiver.received.clear()
        code = notify.main(arguments(**given))
        output = capfd.readouterr()
        verifier = standardwebhooks.Webhook(SECRET)
        events = [verifier.verify(received.body, received.headers) for received in receiver.received]
        return code, events, output.out + output.err

    return run


@pytest.fixture
def outcome(monkeypatch):
    """Sets the outcome that ML Metadata has."""

    def record(blessed, push, reasons=()):
        verdict = types.SimpleNamespace(
            blessed=blessed, candidate={"elbo": -1850.0}, baseline=None, reasons=list(reasons), notes=[]
        )
        monkeypatch.setattr("pipeline.outcome.read_outcome", lambda *_: Outcome(verdict, push, "/report", trained=True))

    return record


def test_a_push_is_told(exit_handler, outcome, receiver):
    outcome(True, Push(pushed_to="/mnt/vaeiaf/pushed/7"))
    code, (event,), console = exit_handler()
    assert (code, event["type"], event["data"]["pushed_to"]) == (
        DONE,
        "io.vaeiaf.model.pushed",
        "/mnt/vaeiaf/pushed/7",
    )
    assert (event["source"], event["subject"]) == ("/vaeiaf-cifar10", "run-1")
    assert console == f"io.vaeiaf.model.pushed was delivered to {receiver.host}\n"


def test_a_refusal_is_told_with_its_numbers_and_no_failure_of_this_pod(exit_handler, outcome, logs, termination_log):
    outcome(False, Push(), ["too low"])
    leave(Failure(Kind.REFUSED, "too low"), str(logs / "gate.error.json"))
    code, (event,), _ = exit_handler()
    assert (code, event["type"], event["data"]["reasons"]) == (DONE, "io.vaeiaf.model.refused", ["too low"])
    assert event["data"]["candidate"] == {"elbo": -1850.0}
    assert termination_log.read_text() == ""


def test_an_unchanged_model_is_not_told(exit_handler, outcome):
    outcome(True, Push(unchanged="/mnt/vaeiaf/pushed/7"))
    assert exit_handler() == (DONE, [], "")


def test_the_failure_that_a_task_left_is_told_and_fails_this_pod(exit_handler, logs, termination_log):
    failure = Failure(Kind.BAD_INPUT, "the loss is nan", value="nan", remedy="Lower learning_rate")
    leave(failure, str(logs / "train.error.json"))
    (logs / "train.log").touch()
    code, (event,), _ = exit_handler()
    assert (code, event["type"]) == (BAD_INPUT, "io.vaeiaf.run.failed")
    assert (event["data"]["task"], event["data"]["log"]) == ("train", str(logs / "train.log"))
    assert event["data"]["message"] == str(failure)
    assert left(str(termination_log)) == failure


def test_drift_that_stopped_a_run_before_its_training_is_told(exit_handler, logs, termination_log):
    failure = Failure(Kind.REFUSED, "the new data differ", value={"figures": {}, "histograms": "/drift/index.html"})
    leave(failure, str(logs / "train.error.json"))
    code, (event,), _ = exit_handler()
    assert (code, event["type"]) == (REFUSED, "io.vaeiaf.data.drifted")
    assert event["data"] == {"figures": {}, "histograms": "/drift/index.html", "stopped": True}
    assert left(str(termination_log)) == failure


def test_a_run_whose_pod_died_is_told_with_its_task(exit_handler):
    code, (event,), _ = exit_handler()
    assert (code, event["data"]["task"], event["data"]["kind"]) == (FAILED, "ingest", "infrastructure")
    assert event["data"]["message"] == (
        "ingest did not finish and left no failure: its pod was lost, or never started. See the pod's events in the UI"
    )


def test_invalid_parameters_which_fail_every_task_are_told(exit_handler):
    code, (event,), _ = exit_handler(parameters={**DEFAULTS, "epochs": -1})
    assert (code, event["source"], event["data"]["kind"]) == (BAD_INPUT, "/vaeiaf", "bad input")
    assert event["data"]["value"] == -1


def test_a_database_that_is_away_is_told(exit_handler, monkeypatch):
    monkeypatch.setenv("MLMD_PASSWORD", "x")
    server = {"kind": "mysql", "host": "127.0.0.1", "port": 9, "wait_seconds": 0}
    code, (event,), _ = exit_handler(database=server)
    assert (code, "127.0.0.1:9" in event["data"]["message"]) == (FAILED, True)


def test_a_second_attempt_of_this_pod_sends_the_same_event_again(exit_handler, logs):
    (logs / "train.log").touch()
    os.utime(logs / "train.log", (1_000_000_000, 1_000_000_000))
    first, second = exit_handler()[1][0], exit_handler()[1][0]
    assert first == second
    assert first["time"] == "2001-09-09T01:46:40Z"


def test_retry_in_the_ui_makes_another_event(exit_handler, logs):
    leave(Failure(Kind.BUG, "it broke"), str(logs / "train.error.json"))
    first = exit_handler()[1][0]
    os.utime(logs / "train.error.json", (2_000_000_000, 2_000_000_000))
    assert exit_handler()[1][0]["id"] != first["id"]


@pytest.mark.parametrize("answer", [401, 302])
def test_a_webhook_that_refuses_changes_no_exit_code(exit_handler, outcome, receiver, answer):
    outcome(True, Push(pushed_to="/7"))
    receiver.answers = [(answer, {})]
    code, _, console = exit_handler()
    assert (code, console) == (
        DONE,
        f"io.vaeiaf.model.pushed was not delivered to {receiver.host}: it answers {answer}\n",
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "the Secret hook has no key secret. Create it in the namespace of the runs"),
        ("tooshort", f"{NOTIFY_SECRET} is not whsec_ and the base64 of 24 to 64 bytes. Make one with "),
    ],
)
def test_without_the_secret_that_it_should_have_nothing_is_sent(exit_handler, outcome, monkeypatch, value, said):
    outcome(True, Push(pushed_to="/7"))
    monkeypatch.delenv(NOTIFY_SECRET)
    if value:
        monkeypatch.setenv(NOTIFY_SECRET, value)
    code, events, console = exit_handler()
    assert (code, events) == (DONE, [])
    assert console.startswith(f"io.vaeiaf.model.pushed was not delivered: {said}")
    assert "tooshort" not in console


def test_an_unsigned_event_is_sent_where_cluster_yaml_names_no_secret(arguments, outcome, receiver, monkeypatch):
    monkeypatch.delenv(NOTIFY_SECRET, raising=False)
    outcome(True, Push(pushed_to="/7"))
    assert notify.main(arguments(secret=None)) == DONE
    (received,) = receiver.received
    assert "webhook-signature" not in received.headers


def test_the_program_ends_with_the_failures_exit_code(arguments, logs, receiver):
    leave(Failure(Kind.BAD_INPUT, "no images"), str(logs / "ingest.error.json"))
    environment = {**os.environ, NOTIFY_SECRET: SECRET, ARGO_NODE: ""}
    command = [sys.executable, "-m", "kubeflow.node.notify", *arguments()]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (BAD_INPUT, f"io.vaeiaf.run.failed was delivered to {receiver.host}\n")
    assert len(receiver.received) == 1
    assert SECRET.removeprefix("whsec_") not in done.stdout + done.stderr + " ".join(command)
