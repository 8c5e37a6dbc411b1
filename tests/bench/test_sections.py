"""Each section of the benchmark runs on little data and fills its columns. test_startup.py tests `startup`."""

import contextlib
import dataclasses
import functools
import io
import json
import math
import os
import pathlib
import sys

import pytest

from tests.bench import checkpoints, growth, inputs, limits, process, rounds, scale, scaling, steps
from trainer.presets import PRESETS

SIZE, IMAGES = 4, 128  # a call of the loop takes 16 steps
SMALL = dataclasses.replace(
    PRESETS["smoke"], hidden_size=8, latent_size=2, iaf_steps=0, batch_size=SIZE, eval_samples=1, epochs=1
)
COLUMNS = {"name", "batch_size", "images_per_second", "ratio_to_seed", "fraction_of_gemm_limit"}


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "ROUND_SECONDS", 0.01)
        for name, value in {"GEMM_SIZE": 50, "BANDWIDTH_FLOATS": 1000, "TRIES": 1}.items():
            patch.setattr(limits, name, value)
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")  # or the import of the program sets it for all later tests
        yield patch


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Makes an interpreter with only its standard library."""
    path = tmp_path_factory.mktemp("bin") / "python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def bench(patch, python, tmp_path_factory):
    """Runs a section by its command line; returns the objects of bench.json by name, and the console."""
    from tests.bench import __main__ as program

    path = tmp_path_factory.mktemp("bench") / "bench.json"
    patch.setattr(program, "FILE", path)

    def start(section, *arguments):
        patch.setattr(sys, "argv", ["bench", "--only", section, "--torch-python", python, *arguments])
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            program.main()
        rows = json.loads(path.read_text())
        for row in rows:
            assert row.keys() >= COLUMNS
            assert all(math.isfinite(value) for value in row.values() if isinstance(value, int | float)), row
        return {(row["name"], row["batch_size"]): figures(row) for row in rows}, printed.getvalue()

    return start


def figures(row):
    """Returns the numbers of a row, except the batch size."""
    return {name: value for name, value in row.items() if name not in ("name", "batch_size") and value is not None}


@pytest.fixture(scope="module")
def measured(bench, patch):
    """Runs the section `steps` with two presets that have the same networks."""
    patch.setattr(steps, "PRESETS", {"seed": SMALL, "default": SMALL})
    for name, value in {"BATCH_SIZES": (SIZE,), "ROUNDS": 1, "IMAGES": IMAGES}.items():
        patch.setattr(steps, name, value)
    patch.setattr(steps, "_flops", functools.cache(steps._flops.__wrapped__))  # a cache for these presets alone
    return bench("steps")


def test_a_row_of_steps_holds_a_contestant_against_the_seed_and_the_machine(measured):
    rows, _ = measured
    contestants = {key: row for key, row in rows.items() if not key[0].startswith("limit: ")}
    assert contestants.keys() == {(name, SIZE) for name in (steps.SEED, "seed", "default")}
    for row in contestants.values():
        assert row.keys() >= COLUMNS - {"name", "batch_size"} | {"of_gemm_and_adam", "slowest", "fastest"}
        assert min(row.values()) > 0.0
    assert contestants[steps.SEED, SIZE]["ratio_to_seed"] == 1.0


def test_the_limits_of_the_machine_are_rows_too(measured):
    rows, _ = measured
    of_machine = [row for (name, _), row in rows.items() if name.startswith("limit: ")]
    assert {name for row in of_machine for name in row} >= {"gigaflops", "gigabytes_per_second", "images_per_second"}
    assert all(min(row.values()) > 0.0 for row in of_machine)


def test_an_interpreter_without_torch_is_named_in_a_line_and_its_rows_are_left_out(measured, python):
    rows, printed = measured
    (line,) = (line for line in printed.splitlines() if "left out" in line)
    assert line == f"PyTorch and pythae are left out; {python}: ModuleNotFoundError: No module named 'torch'"
    assert not [name for name, _ in rows if "torch" in name.lower() or "pythae" in name]


def test_inputs_and_evaluation_have_their_rates(bench, patch):
    for name, value in {"CONFIG": SMALL, "ROUNDS": 1, "EVALUATED": 6, "FULL": IMAGES}.items():
        patch.setattr(inputs, name, value)
    rows, printed = bench("inputs")
    share = rows.pop(("input, share of training", None))["percent"]
    first = rows.pop(("input, first epoch: PNG to bytes", None))
    assert share > 0.0
    assert first["images_per_second"] == pytest.approx(IMAGES / first["seconds"])
    assert {name for name, size in rows if size == SIZE} == {
        *("training, input and step", "input alone, later epochs", "evaluation, K = 1", "evaluation, K = 4")
    }
    assert len(rows) == 4
    for (name, _), row in rows.items():
        assert row["images_per_second"] > 0.0
        assert name in printed


def test_a_training_of_more_images_is_held_against_one_of_fewer(bench, patch):
    """The smaller training runs in a new process, with a smaller recipe than the benchmark's; the larger is made up."""
    patch.setattr(growth, "run_module", lambda *command: process.run_module(*command, "--preset", "smoke"))
    fewer, more = IMAGES, 2 * IMAGES
    patch.setattr(growth, "SIZES", (fewer, more))
    run = growth.trained.__wrapped__(fewer)
    patch.setattr(growth, "trained", {fewer: run, more: run._replace(peak_mb=run.peak_mb + 1.0)}.get)
    rows, _ = bench("growth")
    for images in growth.SIZES:
        row = rows.pop((f"load and train one epoch, {images} images", None))
        assert row.keys() == {"seconds", "peak_mb"}
        assert min(row.values()) > 0.0
    (row,) = rows.values()
    assert row == {"bytes": pytest.approx(2**20 / (more - fewer)), "cache_bytes": growth.CACHE_BYTES}


def test_the_nodes_that_read_all_images_have_their_time_and_memory_at_each_size(bench, patch):
    """Two nodes run on few images, in new processes; the larger run is made up."""
    patch.setattr(scale, "NODES", ("ImageExampleGen", "StatisticsGen"))
    fewer, more = IMAGES, 2 * IMAGES
    runs = scale.measured(fewer)
    larger = {node: run._replace(peak_mb=run.peak_mb + 1.0) for node, run in runs.items()}
    patch.setattr(scale, "measured", {fewer: runs, more: larger}.get)
    rows, _ = bench("scale", f"--scale-images={fewer},{more}")
    for node in scale.NODES:
        for images in (fewer, more):
            row = rows[f"{node}, {images} images", None]
            assert row.keys() == {"seconds", "cpu_seconds", "peak_mb"}
            assert min(row.values()) > 0.0
        assert rows[f"{node}, memory of an image", None] == {"bytes": pytest.approx(2**20 / (more - fewer))}


def test_the_checkpoints_of_every_preset_have_their_cost_and_share(bench, patch):
    for name, value in {"PRESETS": {"seed": SMALL, "smoke": SMALL}, "FULL": IMAGES, "EMBEDDED": (IMAGES, 9)}.items():
        patch.setattr(checkpoints, name, value)
    for name in ("SAVES", "SECONDS"):
        patch.setattr(checkpoints, name, 2)
    rows, _ = bench("checkpoints")
    assert rows.keys() == {("checkpoints, seed", SIZE), ("checkpoints, smoke", SIZE)}
    for row in rows.values():
        assert row.keys() == {"milliseconds", "mb", "seconds_between", "percent"}
        assert row["milliseconds"] < 1e3 * row["seconds_between"]
        assert 0.0 < row["percent"] < 100.0
        assert row["mb"] > 0.1, "52,000 weights and their moments"


def test_two_workers_are_held_against_one_in_each_round(monkeypatch):
    rounds_of_a_machine_that_slows_down = "40.0 60.0\n10.0 14.0\n20.0 40.0\n"
    monkeypatch.setattr(
        scaling,
        "launch",
        lambda command, folder, workers: pathlib.Path(folder, "rates").write_text(rounds_of_a_machine_that_slows_down),
    )
    assert scaling.measured("smoke", SIZE) == (20.0, 40.0, 0.75)


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="two cores, to choose from"
)
def test_two_workers_train_together_and_are_held_against_one(bench, patch):
    patch.setattr(scaling, "CASES", (("smoke", SIZE),))
    rows, _ = bench("scaling")
    one, two = rows["smoke, one worker on one core", SIZE], rows["smoke, two workers on a core each", 2 * SIZE]
    assert one.keys() == {"images_per_second"}
    assert two.keys() == {"images_per_second", "of_twice_one"}
    assert one["images_per_second"] > 0.0
    assert two["images_per_second"] > 0.0
    assert two["of_twice_one"] > 0.0
    assert len(rows) == 2
