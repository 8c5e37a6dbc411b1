"""The turns and ratios of the benchmark."""

import json

import pytest

from tests.bench.rounds import Contestant, interleave, ratio
from tests.bench.rows import Row, table, write


def test_contestants_take_turns():
    turns = []
    contestants = [Contestant(name, 1, lambda name=name: turns.append(name) or len(turns)) for name in "AB"]
    rates = interleave(contestants, 3, before_round=lambda: turns.append("-"))
    assert "".join(turns) == "-AB-AB-AB"
    assert rates == [[2, 5, 8], [3, 6, 9]]


def test_a_slow_round_does_not_change_a_ratio():
    assert ratio([200.0, 20.0, 220.0], [100.0, 10.0, 105.0]) == pytest.approx(2.0)


def test_rows_are_written_flat_and_shown_in_columns(tmp_path):
    rows = [Row("a step", 32, 1234.5, 2.0, 0.5, {"slowest": 1000.0}), Row("start", more={"seconds": 1.5})]
    write(rows, tmp_path / "bench.json")
    step, start = json.loads((tmp_path / "bench.json").read_text())
    assert step["images_per_second"] == 1234.5
    assert step["slowest"] == 1000.0
    assert start["ratio_to_seed"] is None
    assert start["seconds"] == 1.5
    assert [line.split()[0] for line in table(rows).splitlines()[1:]] == ["a", "start"]
