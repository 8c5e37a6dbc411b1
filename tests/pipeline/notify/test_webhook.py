import datetime
import json
import socket
import time

import pytest
import standardwebhooks
from webhook_receiver import SECRET, Received

from pipeline.notify import webhook
from pipeline.notify.events import Ending, of_failure
from pipeline.notify.webhook import SECONDS, Webhook, deliver, notify
from trainer.errors import InterruptError, ReportedError
from trainer.failure import Failure, Kind

EVENT = of_failure(
    Ending("vaeiaf-cifar10", "run-1", datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)),
    Failure(Kind.BUG, "it broke"),
)


def verified(received):
    """The event, if the reference implementation of Standard Webhooks accepts its signature."""
    return standardwebhooks.Webhook(SECRET).verify(received.body, received.headers)


def test_the_event_arrives_whole_and_signed(receiver):
    deliver(Webhook.of(receiver.url, SECRET), EVENT)
    (received,) = receiver.received
    sent = verified(received)
    assert received.headers["content-type"] == "application/cloudevents+json"
    assert received.headers["webhook-id"] == sent["id"] == EVENT.get_id()
    assert sent == {
        "specversion": "1.0",
        "id": EVENT.get_id(),
        "type": "io.vaeiaf.run.failed",
        "source": "/vaeiaf-cifar10",
        "subject": "run-1",
        "time": "2026-11-26T00:00:00Z",
        "datacontenttype": "application/json",
        "data": EVENT.get_data(),
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda headers, body: (headers, body.replace(b"it broke", b"it works")),
        lambda headers, body: ({**headers, "webhook-id": "another"}, body),
        lambda headers, body: ({**headers, "webhook-timestamp": str(int(time.time()) - 1)}, body),
    ],
    ids=["body", "id", "time"],
)
def test_whoever_changes_it_breaks_the_signature(receiver, change):
    deliver(Webhook.of(receiver.url, SECRET), EVENT)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        verified(Received(*change(*receiver.received[0])))


def test_without_a_secret_it_is_not_signed(receiver):
    deliver(Webhook.of(receiver.url, None), EVENT)
    (received,) = receiver.received
    assert "webhook-signature" not in received.headers
    assert json.loads(received.body)["id"] == received.headers["webhook-id"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_it_is_sent_again_with_the_same_id_after_growing_pauses(receiver, pauses, status):
    receiver.answers = [(status, {})] * 3
    deliver(Webhook.of(receiver.url, SECRET), EVENT)
    assert len(receiver.received) == 4
    assert {verified(received)["id"] for received in receiver.received} == {EVENT.get_id()}
    assert len({received.body for received in receiver.received}) == 1
    assert 1 <= pauses[0] < pauses[1] < pauses[2]


def test_it_waits_as_long_as_the_server_asks(receiver, pauses):
    receiver.answers = [(429, {"retry-after": "31"})]
    deliver(Webhook.of(receiver.url, SECRET), EVENT)
    assert pauses == [31]


def test_it_does_not_wait_longer_than_it_has_time(receiver, pauses):
    receiver.answers = [(429, {"retry-after": "3600"})]
    with pytest.raises(ReportedError, match=r"^it answers 429$"):
        deliver(Webhook.of(receiver.url, SECRET), EVENT)
    assert (len(receiver.received), pauses) == (1, [])


def test_it_gives_up_in_bounded_time(receiver, pauses):
    receiver.answers = [(503, {})] * 1000
    with pytest.raises(ReportedError) as error:
        deliver(Webhook.of(receiver.url, SECRET), EVENT)
    assert str(error.value) == f"it answers 503, {len(receiver.received)} times"
    assert 5 <= len(receiver.received) <= 10
    assert 0.5 * SECONDS < sum(pauses) < SECONDS


@pytest.mark.parametrize("status", [301, 302, 400, 401, 404, 410])
def test_what_no_repetition_helps_is_not_repeated(receiver, pauses, status):
    receiver.answers = [(status, {"location": "/elsewhere"})]
    with pytest.raises(ReportedError) as error:
        deliver(Webhook.of(receiver.url, SECRET), EVENT)
    assert error.value.failure.value == status
    assert (len(receiver.received), pauses) == (1, [])


def test_a_server_that_is_away_is_tried_again(pauses):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        hook = Webhook.of(f"http://127.0.0.1:{unused.getsockname()[1]}/token", SECRET)
        with pytest.raises(ReportedError) as error:
            deliver(hook, EVENT)
    assert str(error.value).startswith("it cannot be reached: ")
    assert "Connection refused" in str(error.value)
    assert "token" not in str(error.value)
    assert len(pauses) >= 4


def test_a_server_that_does_not_answer_is_tried_again(receiver, pauses, monkeypatch):
    monkeypatch.setattr(webhook, "ANSWER", 0.1)
    receiver.answers = [(None, {})]
    deliver(Webhook.of(receiver.url, SECRET), EVENT)
    assert len(receiver.received) == 2


def test_after_a_signal_there_is_little_time(receiver, pauses):
    receiver.answers = [(503, {})] * 1000
    with pytest.raises(ReportedError):
        deliver(Webhook.of(receiver.url, SECRET), EVENT, webhook.STOPPED_SECONDS)
    assert sum(pauses) < webhook.STOPPED_SECONDS


def raising(error):
    def deliver(*_):
        raise error

    return deliver


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, "was delivered to {}"),
        (ReportedError("it answers 403"), "was not delivered to {}: it answers 403"),
        (InterruptError(15), "was not delivered to {}: interrupted by SIGTERM"),
        (UnicodeError(SECRET), "was not delivered to {}: UnicodeError"),
    ],
)
def test_whatever_happens_is_one_line_without_secrets(receiver, monkeypatch, error, said):
    if error:
        monkeypatch.setattr(webhook, "deliver", raising(error))
    lines = []
    notify(Webhook.of(receiver.url, SECRET), EVENT, lines.append)
    assert lines == [f"io.vaeiaf.run.failed {said.format(receiver.host)}"]


def test_a_webhook_shows_neither_its_path_nor_its_key():
    assert repr(Webhook.of("https://hooks.example.com/token?t=1#x", SECRET)) == "Webhook(https://hooks.example.com)"
