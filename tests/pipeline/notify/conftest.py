"""A webhook, and a clock that pauses move."""

import types

import pytest
import tenacity
from webhook_receiver import Receiver


@pytest.fixture
def receiver():
    with Receiver() as found:
        yield found


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between attempts, in seconds; they take no time, but move the clock."""
    made = []
    monkeypatch.setattr(tenacity, "time", types.SimpleNamespace(monotonic=lambda: sum(made)))
    monkeypatch.setattr(tenacity.nap, "time", types.SimpleNamespace(sleep=made.append))
    return made
