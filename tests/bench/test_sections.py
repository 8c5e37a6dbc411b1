"""Each section of the benchmark runs on little data and fills its columns. test_startup.py tests `startup`."""

import contextlib
import dataclasses
import functools
import io
import itertools
import json
import math
import os
import pathlib
import sys

import numpy as np
import pytest

from tests.bench import (
    checkpoints,
    disk,
    growth,
    inputs,
    limits,
    memory,
    precision,
    process,
    rounds,
    scale,
    scaling,
    shapes,
    spans,
    steps,
)
from tests.bench.data import random_images, records
from tests.bench.rows import Row
from trainer.__main__ import main
from trainer.images import ImageSet
from trainer.presets import PRESETS
from trainer.shape import Shape

SIZE, IMAGES = 4, 128  # a call of the loop takes 16 steps
SMALL = dataclasses.replace(
    PRESETS["smoke"],
    hidden_size=8,
    latent_size=2,
    iaf_steps=0,
    batch_size=SIZE,
    eval_samples=1,
    importance_samples=0,
    epochs=1,
)
SCALING = f"""
import json, pathlib, subprocess, sys
from forked import ForkedProcess
from tests.bench import scaling
subprocess.Popen = ForkedProcess
scaling.CASES = (("smoke", {SIZE}),)
pathlib.Path(sys.argv[1]).write_text(json.dumps(scaling.rows()))
"""
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
    patch.setattr(steps, "PRESETS", {"seed": SMALL, "mlp": SMALL})
    for name, value in {"BATCH_SIZES": (SIZE,), "ROUNDS": 1, "IMAGES": IMAGES}.items():
        patch.setattr(steps, name, value)
    patch.setattr(steps, "_flops", functools.cache(steps._flops.__wrapped__))  # a cache for these presets alone
    return bench("steps")


def test_a_row_of_steps_holds_a_contestant_against_the_seed_and_the_machine(measured):
    rows, _ = measured
    contestants = {key: row for key, row in rows.items() if not key[0].startswith("limit: ")}
    assert contestants.keys() == {(name, SIZE) for name in (steps.SEED, "seed", "mlp")}
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


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="a cache that can be emptied")
def test_training_from_disk_is_held_against_training_from_memory(bench, patch):
    for name, value in {"CONFIG": SMALL, "ROUNDS": 1, "IMAGES": 10 * IMAGES}.items():
        patch.setattr(disk, name, value)
    rows, _ = bench("disk")
    assert rows.keys() == {(f"training from {place}", SIZE) for place in ("memory", "disk, cached", "disk, not cached")}
    for row in rows.values():
        assert row.keys() == {"images_per_second", "to_memory", "cpu_to_memory", "reading_percent"}
        assert min(row.values()) > 0.0
    assert rows["training from memory", SIZE]["to_memory"] == 1.0


def test_a_preset_has_its_peak_of_memory():
    (row,) = memory.rows(["smoke"])
    assert row.batch_size == PRESETS["smoke"].batch_size
    assert 100.0 < row.more["peak_mb"] < 8192.0


def test_an_epoch_in_bfloat16_is_held_against_one_in_float32(bench, patch):
    if not precision.multiplies_bfloat16():
        pytest.skip("no instructions for bfloat16 here")
    small = dataclasses.replace(PRESETS["logistic"], channels=4, iaf_hidden_size=8, batch_size=SIZE)
    for name, value in {"PRESETS": {"one": small}, "NAMES": ["one"], "FULL": IMAGES}.items():
        patch.setattr(precision, name, value)
    rows, _ = bench("precision")
    assert rows.keys() == {("one, float32", SIZE), ("one, bfloat16", SIZE)}
    single, half = rows.values()
    assert single["to_float32"] == 1.0
    assert half["to_float32"] > 0.0
    assert half["elbo"] != single["elbo"]
    assert half["elbo"] == pytest.approx(single["elbo"], rel=0.02)


def test_precision_is_left_out_in_a_line_on_a_processor_without_bfloat16(bench, patch):
    patch.setattr(precision, "multiplies_bfloat16", lambda: False)
    rows, printed = bench("precision")
    assert not rows
    assert printed.startswith("section precision is left out: this processor has no instructions for bfloat16")


def test_a_trainer_on_all_images_of_some_files_has_its_time_and_memory(patch, capsys):
    for name, value in {"CONFIG": SMALL, "STEPS": 16}.items():
        patch.setattr(disk, name, value)

    def run(module, in_memory, *files):
        disk.main(int(in_memory), [*files])
        return process.Finished(3.0, 2.0, 1.0, [(0.0, "a log line"), (1.0, capsys.readouterr().out)])

    patch.setattr(disk, "run_module", run)
    rows = disk.scale_rows([records(IMAGES).train], IMAGES)
    assert [row.name for row in rows] == [f"trainer from {place}, {IMAGES} images" for place in ("memory", "disk")]
    for row in rows:
        assert row.images_per_second > 0.0
        assert (row.more["seconds"], row.more["peak_mb"]) == (3.0, 1.0)
        assert row.more["load_seconds"] > 0.0


def test_a_warm_start_is_held_against_scratch_on_every_night_and_on_all_at_once(bench, patch):
    images, started = random_images(200), []
    patch.setattr(spans, "_data", lambda: (images, np.arange(200) % 10))
    patch.setattr(spans, "SERIES", (spans.Series("5 spans", 5, 40, {"short": SMALL}),))

    def train(config, train, test, folder, base=None):
        started.append((os.path.basename(folder), base and os.path.basename(base), config.epochs))
        return spans.Trained(folder, np.arange(len(test)) * (3.0 if base else 1.0), 7.0 if base else 5.0, 1)

    with pytest.MonkeyPatch.context() as inner:
        inner.setattr(spans, "_train", train)
        rows, _ = bench("spans")
    assert started == [
        *(("1-scratch", None, 1), ("2-scratch", None, 1), ("2-warm", "1-scratch", 1)),
        *(("3-scratch", None, 1), ("3-warm", "2-warm", 1), ("at-once", None, 3)),
    ]
    assert [name for name, _ in rows] == [
        f"5 spans, short, {name}" for name in ("night 1", "night 2", "night 3", "3 nights at once")
    ]
    first, *others = rows.values()
    assert (first["gain"], first["gain_held_out"]) == (0.0, 0.0), "nothing to start from"
    for row in others:
        assert row["gain"] == pytest.approx(row["warm"] - row["scratch"])
        assert row["gain"] > row["plus_minus"] > 0.0
        assert row["gain_held_out"] == 2.0


def test_a_night_leaves_weights_from_which_the_next_one_starts(tmp_path):
    recipe = {"learning_rate": 1e-30, "schedule": "constant", "warmup_epochs": 0}  # the weights stay what they were
    still = dataclasses.replace(SMALL, **recipe)
    images = random_images(60)
    first = spans._train(dataclasses.replace(still, seed=1), images, images, str(tmp_path / "first"))
    second = spans._train(still, images, images, str(tmp_path / "second"), first.folder)
    np.testing.assert_allclose(second.elbos, first.elbos, rtol=1e-6)
    assert len(first.elbos) == 60


def test_windows_move_by_a_span_and_an_image_keeps_its_side(patch):
    images, labels = random_images(1000), np.arange(1000) % 10
    patch.setattr(spans, "_data", lambda: (ImageSet(images.pixels, np.arange(1000)), labels))
    given, drifting = (
        [[{*part.noise_seeds.tolist()} for part in window] for window in spans._windows(series)]
        for series in (spans.Series("", 5, 200, {}), spans.Series("", 5, 200, {}, drifts=True))
    )
    for windows in (given, drifting):
        assert [len(train | test) for train, test in windows] == [600] * 3
        assert not set.union(*(train for train, _ in windows)) & set.union(*(test for _, test in windows))
        assert [len(set.union(*before) & set.union(*after)) for before, after in itertools.pairwise(windows)] == [
            400
        ] * 2
    assert given[1][0] | given[1][1] == {*range(200, 800)}
    means = [np.mean(labels[[*train]]) for train, _ in drifting]
    assert means == sorted(means)
    assert means[2] - means[0] > 1.0


def test_a_training_of_more_images_is_held_against_one_of_fewer(bench, patch):
    """The smaller training runs in this process, with a smaller recipe than the benchmark's; the larger is made up."""

    def train(program, *arguments):
        assert program == "trainer"
        assert main([*arguments, "--preset", "smoke"]) == 0
        return process.Finished(2.0, 2.0, 500.0, [])

    patch.setattr(growth, "run_module", train)
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


def test_ingestion_and_training_of_each_shape_are_held_against_the_first(bench, patch):
    found = Shape(4, 4, 3), Shape(5, 7, 1)
    for name, value in {"CONFIG": SMALL, "ROUNDS": 1, "IMAGES": IMAGES, "SHAPES": found}.items():
        patch.setattr(shapes, name, value)
    rows, _ = bench("shapes")
    work = {"ingestion": None, "training": SIZE}
    assert rows.keys() == {(f"{name}, {shape}", size) for name, size in work.items() for shape in found}
    for (name, _), row in rows.items():
        assert row.keys() == {"images_per_cpu_second", "of_4x4x3"}
        assert min(row.values()) > 0.0
        assert (row["of_4x4x3"] == 1.0) == name.endswith("4x4x3")


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
def test_two_workers_train_together_and_are_held_against_one(run_forked, tmp_path):
    code, said = run_forked(SCALING, str(tmp_path / "rows"))
    assert code == 0, said
    one, two = (Row(*row) for row in json.loads((tmp_path / "rows").read_text()))
    assert (one.name, one.batch_size) == ("smoke, one worker on one core", SIZE)
    assert (two.name, two.batch_size) == ("smoke, two workers on a core each", 2 * SIZE)
    assert one.images_per_second > 0.0
    assert two.images_per_second > 0.0
    assert (one.more.keys(), two.more.keys()) == (set(), {"of_twice_one"})
    assert two.more["of_twice_one"] > 0.0
