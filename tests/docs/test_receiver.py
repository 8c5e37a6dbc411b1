"""The receiver in the documents accepts what a run sends, and nothing else."""

import datetime
import http.server
import threading

import pytest
import requests
from documents import REPOSITORY, blocks
from webhook_receiver import SECRET

from pipeline.notify.events import EventType, Ending, of_failure
from pipeline.notify.webhook import Webhook, deliver
from pipeline.settings import NOTIFY_SECRET
from trainer.errors import ReportedError
from trainer.failure import Failure, Kind

PAGE = REPOSITORY / "docs" / "howto" / "notifications.md"
EVENT = of_failure(
    Ending("vaeiaf-cifar10", "run-1", datetime.datetime.now(datetime.UTC)), Failure(Kind.BUG, "it broke")
)


@pytest.fixture
def url(monkeypatch):
    """The address at which the code of the page listens."""
    (code,) = [block.text for block in blocks(PAGE) if block.language == "python"]
    monkeypatch.setenv(NOTIFY_SECRET, SECRET)
    names = {"__name__": "receiver"}
    exec(code, names)
    monkeypatch.setattr(names["Receiver"], "log_message", lambda *_: None)
    with http.server.HTTPServer(("127.0.0.1", 0), names["Receiver"]) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}/vaeiaf"
        server.shutdown()


def test_it_takes_an_event_and_drops_a_repetition(url, capfd):
    for _ in range(2):
        deliver(Webhook.of(url, SECRET), EVENT)
    assert capfd.readouterr().out == "io.vaeiaf.run.failed run-1 it broke\n"


@pytest.mark.parametrize("secret", [None, f"whsec_{'A' * 32}"], ids=["none", "another"])
def test_it_refuses_another_signature(url, capfd, secret):
    with pytest.raises(ReportedError) as error:
        deliver(Webhook.of(url, secret), EVENT)
    assert error.value.failure.value == 401
    assert capfd.readouterr().out == ""


def test_it_refuses_an_old_event(url, monkeypatch):
    now = datetime.datetime.now().timestamp()
    sent = []
    monkeypatch.setattr("pipeline.notify.webhook.time.time", lambda: now - 400)
    original = requests.post
    monkeypatch.setattr("requests.post", lambda *given, **named: sent.append(named) or original(*given, **named))
    with pytest.raises(ReportedError):
        deliver(Webhook.of(url, SECRET), EVENT)
    assert sent


def test_the_page_has_every_type_of_event():
    text = PAGE.read_text()
    assert [kind for kind in EventType if f"| `{kind}` |" not in text] == []
