"""Delivery of an event to a webhook: in structured mode, so that the signature covers the attributes too."""

import time
import traceback
import urllib.parse
from collections.abc import Callable
from typing import Any, NamedTuple

import requests
import tenacity
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, to_structured_event

from pipeline.notify.signature import signature, signing_key
from trainer.errors import ReportedError

SECONDS = 60.0  # within which the last attempt starts
STOPPED_SECONDS = 5.0  # the same after a signal, whose sender waits for the process to end
CONNECT, ANSWER = 5.0, 10.0  # seconds, of one attempt
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0  # seconds


class Webhook(NamedTuple):
    """Where events go."""

    url: str
    key: bytes | None  # that signs them; None: they are not signed

    @classmethod
    def of(cls, url: str, secret: str | None) -> "Webhook":
        """Returns the webhook at `url`.

        Raises:
          UserError: the secret is invalid.
        """
        return cls(url, signing_key(secret) if secret else None)

    def __str__(self) -> str:
        """Scheme and host: a path may have a token in it."""
        return urllib.parse.urlsplit(self.url)._replace(path="", query="", fragment="").geturl()

    def __repr__(self) -> str:
        return f"Webhook({self})"


class _LaterError(Exception):
    """An answer after which the same request may succeed."""

    def __init__(self, said: str, pause: float = 0.0) -> None:
        super().__init__(said)
        self.pause = pause  # seconds that the server asks for


def notify(webhook: Webhook, event: BaseCloudEvent, say: Callable[[str], Any], seconds: float = SECONDS) -> None:
    """Delivers `event` and says in one line whether that worked. Raises nothing: the run ended as it did."""
    kind = event.get_type()
    try:
        deliver(webhook, event, seconds)
    except ReportedError as error:  # a signal is one too
        say(f"{kind} was not delivered to {webhook}: {error}")
    except Exception as error:
        traceback.print_exc()  # to the log file
        say(f"{kind} was not delivered to {webhook}: {type(error).__name__}")
    else:
        say(f"{kind} was delivered to {webhook}")


def deliver(webhook: Webhook, event: BaseCloudEvent, seconds: float = SECONDS) -> None:
    """Posts `event`. Repeats it after no answer, 429 and 5xx, with growing pauses, for `seconds` at most.

    Raises:
      ReportedError: the webhook did not accept it.
    """
    message = to_structured_event(event)
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_LaterError),
        stop=tenacity.stop_before_delay(seconds),
        wait=_pause,
        reraise=True,
    )
    try:
        attempts(_post, webhook, event.get_id(), message, (min(CONNECT, seconds), min(ANSWER, seconds)))
    except _LaterError as error:
        tried = attempts.statistics["attempt_number"]
        raise ReportedError(f"{error}, {tried} times" if tried > 1 else str(error)) from None


def _post(webhook: Webhook, identity: str, message: HTTPMessage, timeout: tuple[float, float]) -> None:
    headers = {**message.headers, "webhook-id": identity, "webhook-timestamp": str(timestamp := int(time.time()))}
    if webhook.key:
        headers["webhook-signature"] = signature(webhook.key, identity, timestamp, message.body)
    try:
        # A stream, because nothing needs the answer's body. A redirect would carry the event elsewhere.
        with requests.post(
            webhook.url, message.body, headers=headers, timeout=timeout, stream=True, allow_redirects=False
        ) as answer:
            status, after = answer.status_code, answer.headers.get("retry-after", "")
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _LaterError(_said(error)) from None
    if status == 429 or status >= 500:
        raise _LaterError(f"it answers {status}", float(after) if after.isdecimal() else 0.0)
    if not 200 <= status < 300:
        raise ReportedError(f"it answers {status}", value=status)


def _pause(state: tenacity.RetryCallState) -> float:
    """Returns the seconds until the next attempt: growing with jitter, and no fewer than the server asks for."""
    grown = tenacity.wait_exponential_jitter(FIRST_PAUSE, LONGEST_PAUSE)(state)
    error = state.outcome and state.outcome.exception()
    return max(grown, error.pause) if isinstance(error, _LaterError) else grown


def _said(error: requests.RequestException) -> str:
    """Returns the reason in a few words, without the address, which may have a token in it."""
    if isinstance(error, requests.Timeout):
        return "it does not answer"
    reason: Any = error.args[0] if error.args else error
    reason = getattr(reason, "reason", reason)  # of urllib3, which wraps it
    return f"it cannot be reached: {str(reason).split(': ', 1)[-1] if reason is not error else type(error).__name__}"
