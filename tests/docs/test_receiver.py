"""The receiver in the documents accepts what a run sends, and nothing else."""

import datetime
import http.server
import threading
import time
import types

import pytest
from documents import REPOSITORY, blocks
from webhook_receiver import SECRET

from pipeline.notify.events import Ending, EventType, of_failure
from pipeline.notify.webhook import Webhook, deliver
from pipeline.settings import NOTIFY_SECRET
from trainer.errors import ReportedError
from trainer.failure import Failure, Kind

PAGE = REPOSITORY / "docs" / "howto" / "notifications.md"
EVENT = of_failure(
    Ending("vaeiaf-cifar10", "run-1", datetime.datetime.now(datetime.UTC)), Failure(Kind.BUG, "it broke")
)


@pytest.fixture
def names(monkeypatch):
    """The names that the code of the page defines."""
    (code,) = [block.text for block in blocks(PAGE) if block.language == "python"]
    monkeypatch.setenv(NOTIFY_SECRET, SECRET)
    found = {"__name__": "receiver"}
    exec(code, found)
    monkeypatch.setattr(found["Receiver"], "log_message", lambda *_: None)
    return found


@pytest.fixture
def url(names):
    """The address at which the code of the page listens."""
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


@pytest.mark.parametrize("late", [-400, 400])
def test_it_refuses_an_event_of_another_time(url, names, capfd, late):
    names["time"] = types.SimpleNamespace(time=lambda: time.time() + late)
    with pytest.raises(ReportedError) as error:
        deliver(Webhook.of(url, SECRET), EVENT)
    assert error.value.failure.value == 401
    assert capfd.readouterr().out == ""


def test_the_page_has_every_type_of_event():
    text = PAGE.read_text()
    assert [kind for kind in EventType if f"| `{kind}` |" not in text] == []
