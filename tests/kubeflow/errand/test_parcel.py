"""Data in lines of a log: whatever happens to the lines, it arrives whole or is missed."""

import random

import pytest

from kubeflow.errand.parcel import MARK, Arrival, lines, pack, pieces, unpack
from trainer.errors import ReportedError


def noise(size):
    return random.Random(1).randbytes(size).hex()


@pytest.fixture
def sent():
    return list(lines(noise(20_000)))


def arrived(lines):
    arrival = Arrival()
    for line in lines:
        arrival.add(line)
    return arrival


def test_lines_arrive_in_any_order_twice_and_among_others(sent):
    assert len(sent) == 5, "a head, and pieces"
    mixed = ["a warning", *sent, *reversed(sent)]
    random.Random(2).shuffle(mixed)
    arrival = arrived(mixed)
    assert arrival.text() == noise(20_000)
    assert (arrival.received, arrival.size) == (40_000, 40_000)


def test_no_line_is_split_by_a_container_runtime(sent):
    assert max(map(len, sent)) < 16_384 - len("2026-01-01T00:00:00.000000000Z stdout F \n")


@pytest.mark.parametrize("lost", range(5))
def test_a_lost_line_is_missed(sent, lost):
    with pytest.raises(ReportedError) as error:
        arrived(sent[:lost] + sent[lost + 1 :]).text()
    assert error.value.failure.value == (None if lost == 0 else 1)


def test_damage_is_seen(sent):
    with pytest.raises(ReportedError, match="damaged"):
        arrived([*sent[:-1], sent[-1][:-2] + "xy"]).text()


def test_a_log_without_a_parcel_is_empty():
    assert arrived(["a warning", MARK.strip()]).is_empty


def test_facts_survive_the_pieces_of_arguments():
    facts = ["a", {"b": noise(1000), "c": None}]
    cut = pieces(pack(facts), 500)
    assert max(map(len, cut)) == 500
    assert unpack("".join(cut)) == facts
