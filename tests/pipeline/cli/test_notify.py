"""`vaeiaf run --notify-url`, with a real webhook and a pipeline that ends as it is told."""

import os
import signal

import pytest
import standardwebhooks
from webhook_receiver import SECRET, Receiver

from components.gate.pusher import Push
from components.gate.verdict import Verdict
from pipeline import cli, local
from pipeline.outcome import Outcome
from pipeline.settings import NOTIFY_SECRET
from trainer.errors import InterruptError, UserError
from trainer.exit_codes import BAD_INPUT, DONE, FAILED, REFUSED
from trainer.storage.lock import alone

NUMBERS = {"elbo": -1850.0, "elbo_standard_error": 2.0, "images": 50.0, "independent_pixels": -2100.0}
PUSH = Outcome(Verdict(True, NUMBERS, None, {}, [], []), Push(pushed_to="/pushed/7"), "/report", True)
REFUSAL = Outcome(Verdict(False, NUMBERS, None, {}, ["too low"], []), Push(), "/report", True)
UNCHANGED = Outcome(Verdict(True, NUMBERS, None, {}, [], []), Push(unchanged="/pushed/7"), "/report", False)


@pytest.fixture
def receiver():
    with Receiver() as found:
        yield found


@pytest.fixture
def run(receiver, tmp_path, monkeypatch, capfd):
    """Runs a pipeline that ends with an outcome or an error: its exit code, and what is printed."""
    monkeypatch.setenv(NOTIFY_SECRET, SECRET)

    def run(ending, url=receiver.url):
        def ends(config, run_id, story):
            assert NOTIFY_SECRET not in os.environ  # which workers inherit
            if isinstance(ending, Exception):
                raise ending
            return ending

        monkeypatch.setattr(local, "run", ends)
        code = cli.main(["run", "--root", str(tmp_path / "root"), "--notify-url", url])
        output = capfd.readouterr()
        return code, output.out + output.err

    return run


def events(receiver):
    return [standardwebhooks.Webhook(SECRET).verify(found.body, found.headers) for found in receiver.received]


@pytest.mark.parametrize(
    ("ending", "code", "kind", "what"),
    [
        (PUSH, DONE, "io.vaeiaf.model.pushed", {"pushed_to": "/pushed/7", "candidate": NUMBERS}),
        (REFUSAL, REFUSED, "io.vaeiaf.model.refused", {"reasons": ["too low"]}),
        (UserError("no images"), BAD_INPUT, "io.vaeiaf.run.failed", {"kind": "bad input", "message": "no images"}),
        (RuntimeError("it broke"), FAILED, "io.vaeiaf.run.failed", {"kind": "bug"}),
        (InterruptError(signal.SIGTERM), 143, "io.vaeiaf.run.failed", {"kind": "stopped", "value": "SIGTERM"}),
    ],
    ids=["pushed", "refused", "bad input", "bug", "stopped"],
)
def test_an_ending_is_told_once_and_keeps_its_exit_code(run, receiver, tmp_path, ending, code, kind, what):
    found, said = run(ending)
    assert found == code
    (event,) = events(receiver)
    assert (event["type"], event["source"]) == (kind, "/vaeiaf-cifar10")
    assert event["data"].items() >= what.items()
    assert f"\n{kind} was delivered to {receiver.host}\n" in said
    (log,) = (tmp_path / "root" / "logs").glob("*.log")
    assert event["data"].get("log", str(log)) == str(log)


def test_an_unchanged_model_is_not_told(run, receiver):
    assert run(UNCHANGED)[0] == DONE
    assert receiver.received == []


@pytest.mark.parametrize(("ending", "code"), [(PUSH, DONE), (REFUSAL, REFUSED), (UserError("no images"), BAD_INPUT)])
def test_a_webhook_that_is_away_changes_no_exit_code(run, receiver, ending, code):
    receiver.answers = [(503, {"retry-after": "3600"})]
    found, said = run(ending)
    assert found == code
    assert said.count(f"was not delivered to {receiver.host}: it answers 503\n") == 1
    assert "Traceback" not in said


def test_neither_output_nor_log_nor_failure_has_the_secret(run, receiver, tmp_path):
    receiver.answers = [(403, {})]
    _, said = run(RuntimeError("it broke"))
    files = [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert len(files) >= 2
    for text in (said, *(path.read_bytes().decode(errors="replace") for path in files)):
        assert SECRET.removeprefix("whsec_") not in text
        assert "token-of-the-path" not in text


def test_a_run_that_could_not_start_is_told(run, receiver, tmp_path):
    (tmp_path / "root").mkdir()
    with alone(str(tmp_path / "root"), "run", "--root"):
        code, said = run(PUSH)
    (event,) = events(receiver)
    assert code == event["data"]["exit_code"] != DONE
    assert f"vaeiaf: {event['data']['message']}\n" in said


def test_an_invalid_secret_is_bad_input_before_anything_is_made(run, receiver, monkeypatch, tmp_path):
    monkeypatch.setenv(NOTIFY_SECRET, "hunter2")
    code, said = run(PUSH)
    assert (code, said.count("\n")) == (BAD_INPUT, 1)
    assert said.startswith(f"vaeiaf: {NOTIFY_SECRET} is not whsec_ and ")
    assert "hunter2" not in said
    assert not (tmp_path / "root").exists()
    assert receiver.received == []


def test_without_a_secret_it_is_not_signed(run, receiver, monkeypatch):
    monkeypatch.delenv(NOTIFY_SECRET)
    run(PUSH)
    (received,) = receiver.received
    assert "webhook-signature" not in received.headers


@pytest.mark.parametrize("url", ["hooks.example.com", "ftp://hooks.example.com", "https://me:word@example.com/", ""])
def test_an_address_that_is_none_is_bad_input(run, tmp_path, url):
    code, said = run(PUSH, url)
    assert code == BAD_INPUT
    assert said.startswith("vaeiaf: notify_url: expected an address such as https://hooks.example.com/vaeiaf")
    assert not (tmp_path / "root").exists()
