"""The benchmark of quality against time: its clock, its record, which survives a stop, its rows and its picture."""

import dataclasses
import itertools
import json
import sys
import xml.etree.ElementTree

import numpy as np
import pytest

from tests.bench import __main__, quality, quality_ours, quality_points
from tests.bench.quality_figure import Curve, figure
from trainer.presets import PRESETS

BERNOULLI, LOGISTIC = PRESETS["mlp"], PRESETS["logistic"]
POINTS = [[60.0, -1900.0], [120.0, -1800.0]]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (POINTS, 1.8),
        ([[60.0, 5.0], [180.0, 4.0]], 1.4),  # bits/dim fall
        ([[60.0, -1820.0], [120.0, -1820.0]], 1.0),
        (POINTS[:1], None),
        ([[60.0, -1900.0], [120.0, -1850.0]], None),
    ],
)
def test_a_target_is_reached_where_a_line_between_two_points_crosses_it(points, expected):
    found = quality.minutes_to(-1820.0 if points[0][1] < 0.0 else 4.8, points)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_contestant_is_a_preset_or_one_with_other_settings():
    assert quality.recipe_of("resnet") == PRESETS["resnet"]
    changed = quality.recipe_of("resnet:learning_rate=1e-3:decoder=GaussianResNet:horizontal_flips=false")
    assert changed == dataclasses.replace(
        PRESETS["resnet"], learning_rate=1e-3, decoder="GaussianResNet", horizontal_flips=False
    )


def test_presets_that_differ_in_their_epochs_alone_are_trained_once():
    names = quality.without_repeats()
    assert len({dataclasses.replace(PRESETS[name], epochs=1) for name in names}) == len(names)
    of_one_recipe = {dataclasses.replace(config, epochs=1) for config in PRESETS.values()}
    assert len(names) == len(of_one_recipe) < len(PRESETS)


@pytest.mark.parametrize(
    ("presets", "message"),
    [
        ("resnets", "got 'resnets'"),
        ("resnet:epochs", "expected PRESET:SETTING=VALUE, got resnet:epochs"),
        ("resnet,mlp:epochs=0", "epochs: expected"),
    ],
)
def test_a_mistyped_recipe_is_one_sentence(presets, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "quality", "--presets", presets])
    with pytest.raises(SystemExit, match="2"):
        __main__.main()
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [0.0]
    monkeypatch.setattr(quality_points, "seconds", lambda: now[0])
    return now


def test_the_clock_stands_still_while_a_model_is_evaluated(clock, capsys):
    def take(done):
        assert done == taken[-1]
        taken.append(done + 4)
        clock[0] += 2.0
        return 4

    def evaluate():
        clock[0] += 100.0
        return -float(taken[-1])

    taken = [0]
    quality_points.report(80, take, evaluate)
    points = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(points) == len(quality_points.EVALUATED)
    assert points[-1] == [40.0, -80.0]
    for seconds, nats in points:
        assert seconds == -nats / 2.0, "two seconds for four steps"


def test_a_budget_is_counted_in_steps_without_the_first_call_which_compiles(clock):
    costs = iter([1000.0, *100 * [0.5]])

    def take():
        clock[0] += next(costs)
        return 4

    assert quality_points.steps_within(60.0, take) == 480


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs the section with contestants that print `points`; returns its rows, the record and what was trained."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quality, "HAS_CIFAR10", True)
    monkeypatch.setattr(quality, "FULL", 12)

    def measure(contestants, minutes=1.0):
        def made(*_):
            for name, (config, lines, code) in contestants.items():
                program = f"import sys; open({name!r}, 'a').write('x'); print({lines!r}, end=''); sys.exit({code})"
                yield quality.Contestant(name, config, [sys.executable, "-I", "-S", "-c", program])

        monkeypatch.setattr(quality, "_contestants", made)
        rows = {row.name: row.more for row in quality.rows("", [], minutes)}
        trainings = {name: len((tmp_path / name).read_text()) for name in contestants}
        return rows, json.loads((tmp_path / "quality.json").read_text()), trainings

    return measure


def lines(points):
    return "".join(f"{json.dumps(point)}\n" for point in points)


def test_each_contestant_has_its_figures_in_its_units(run):
    nats = 3072 * np.log(2.0)
    rows, record, _ = run(
        {
            "mlp": (BERNOULLI, lines(POINTS), 0),
            "bits": (LOGISTIC, lines([[60.0, -5.0 * nats], [120.0, -4.0 * nats]]), 0),
            "slow": (BERNOULLI, lines([[60.0, -1900.0]]), 0),
        }
    )
    assert rows["mlp"] == pytest.approx({"minutes_to_-1820": 1.8, "nats": -1800.0, "minutes": 2.0})
    assert rows["bits"] == pytest.approx({"minutes_to_4.8": 1.2, "bits/dim": 4.0, "minutes": 2.0})
    assert rows["slow"] == {"nats": -1900.0, "minutes": 1.0}
    assert record["mlp"]["points"] == POINTS
    assert (record["mlp"]["units"], record["bits"]["units"]) == ("nats", "bits/dim")


def test_a_training_that_failed_is_repeated_and_one_that_ended_is_not(run):
    contestants = {"good": (BERNOULLI, lines(POINTS), 0), "bad": (BERNOULLI, lines(POINTS[:1]), 3)}
    _, record, trainings = run(contestants)
    assert (record["good"]["is_complete"], record["bad"]["is_complete"]) == (True, False)
    assert trainings == {"good": 1, "bad": 1}
    rows, record, trainings = run(contestants | {"bad": (BERNOULLI, lines(POINTS), 0)})
    assert trainings == {"good": 1, "bad": 2}
    assert record["bad"]["points"] == POINTS
    assert rows["good"] == rows["bad"]


@pytest.mark.parametrize("change", [{"minutes": 2.0}, {"config": dataclasses.replace(BERNOULLI, seed=7)}])
def test_another_budget_or_recipe_is_trained_anew(change, run):
    run({"mlp": (BERNOULLI, lines(POINTS), 0)})
    config = change.get("config", BERNOULLI)
    _, record, trainings = run({"mlp": (config, lines(POINTS[:1]), 0)}, change.get("minutes", 1.0))
    assert trainings == {"mlp": 2}
    assert record["mlp"]["points"] == POINTS[:1]


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "x"])
def test_a_mistyped_time_is_one_sentence(minutes, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "quality", "--minutes", minutes])
    with pytest.raises(SystemExit, match="2"):
        __main__.main()
    assert f"expected minutes above 0, got {minutes}" in capsys.readouterr().err.splitlines()[-1]


def test_without_cifar10_the_command_says_so_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(quality, "HAS_CIFAR10", False)
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "quality"])
    with pytest.raises(SystemExit, match="1"):
        __main__.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert "TFDS_DATA_DIR" in line


def test_without_cifar10_the_section_says_so(monkeypatch):
    monkeypatch.setattr(quality, "HAS_CIFAR10", False)
    with pytest.raises(RuntimeError, match="TFDS_DATA_DIR"):
        quality.rows("", [], 1.0)


def test_the_picture_has_a_panel_for_each_unit_and_a_line_for_each_contestant():
    curves = [
        Curve("a<b", "nats", POINTS),
        Curve("c", "nats", POINTS),
        Curve("d", "bits/dim", [[60.0, 5.0], [90.0, 4.5]]),
    ]
    root = xml.etree.ElementTree.fromstring(figure(curves, quality.TARGETS))
    panels = root.findall("{*}g")
    assert [len(panel.findall("{*}polyline")) for panel in panels] == [2, 1]
    texts = [text.text for text in root.iter() if text.tag.endswith("text")]
    assert {"a<b, -1800.0", "c, -1800.0", "d, 4.50"} <= set(texts)
    (line,) = panels[1].findall("{*}polyline")
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in line.get("points").split())
    assert x1 > x0, "time runs to the right"
    assert y1 < y0, "better is higher"


def test_a_curve_that_falls_out_of_the_panel_is_cut_at_its_edge_and_not_bridged():
    curve = Curve("a", "nats", [[60.0, -1850.0], [90.0, -9999.0], [120.0, -1840.0]])
    root = xml.etree.ElementTree.fromstring(figure([curve], quality.TARGETS))
    (line,) = root.iterfind(".//{*}polyline[@clip-path='url(#plot)']")
    (plot,) = root.iterfind(".//{*}clipPath[@id='plot']/{*}rect")
    _, below, within = (float(point.split(",")[1]) for point in line.get("points").split())
    assert below > float(plot.get("y")) + float(plot.get("height")) > within


@pytest.mark.slow
def test_a_recipe_of_ours_is_trained_and_evaluated(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(quality_points, "TIMED_SECONDS", 0.01)
    small = dataclasses.replace(PRESETS["smoke"], hidden_size=8, latent_size=2, iaf_steps=0, batch_size=4)
    rng = np.random.default_rng(0)
    for split, count in (("train", 64), ("test", 10)):
        np.save(tmp_path / f"{split}.npy", rng.integers(100, 120, [count, 4, 4, 1], dtype=np.uint8))
    quality_ours.main("0.01", str(tmp_path), json.dumps(small.to_dict()))
    points = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(points) == len(quality_points.EVALUATED)
    assert all(before[0] <= after[0] for before, after in itertools.pairwise(points))
    assert points[-1][1] > points[0][1]
