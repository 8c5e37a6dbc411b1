"""bench.json is a list of flat objects with the contents of the table."""

import json

from tests.bench.limits import Limits
from tests.bench.rows import Row, write
from tests.bench.steps import _limit_rows


def test_rows_are_flat_and_say_everything(tmp_path):
    rows = [Row("step", 32, 100.0, 1.5, 0.5, {"fastest": 110.0}), Row("limit", more={"bytes": 28})]
    write(rows, tmp_path / "bench.json")
    step, limit = json.loads((tmp_path / "bench.json").read_text())
    assert step == {
        "name": "step",
        "batch_size": 32,
        "images_per_second": 100.0,
        "ratio_to_seed": 1.5,
        "fraction_of_gemm_limit": 0.5,
        "fastest": 110.0,
    }
    assert (limit["name"], limit["batch_size"], limit["bytes"]) == ("limit", None, 28)
    assert not any(isinstance(value, dict) for row in (step, limit) for value in row.values())


def test_the_limits_say_what_adam_must_move():
    (adam,) = (row.more for row in _limit_rows(Limits(flops=1e11, bandwidth=2e10)) if "Adam" in row.name)
    assert adam["bytes"] == 7 * 4 * adam["parameters"], "reads four arrays of float32 and writes three"
    assert adam["seconds"] == adam["bytes"] / 2e10
