"""What a model is compared with, over the runs of a state directory."""

import contextlib
import json
import platform
import re
import shutil

import pytest

import components.gate.pusher
from components.gate.serving import versions
from pipeline import cli
from series import Series, gradients, report, took
from tables import Tables
from toy_data import write_toy
from trainer import exit_codes
from trainer.storage.digests import digest_file

pytestmark = pytest.mark.slow

A, B = ("--seed=1",), ("--seed=2",)


def baseline(console):
    return re.search(r"Last blessed model (-[\d.]+)", console).group(1)


def elbo(console):
    return re.search(r"Test-set ELBO (-[\d.]+)", console).group(1)


def test_of_a_b_and_a_again_the_next_model_is_compared_with_a(series, capfd):
    _, a = series.first(*A)
    _, b = series.run(*B)
    assert baseline(b) == elbo(a)
    code, again = series.run(*A)
    assert (code, took(again, "Trainer"), baseline(again)) == (exit_codes.DONE, "cached", elbo(b))
    _, c = series.run("--seed=3")
    assert baseline(c) == elbo(a)
    assert len(series.versions()) == 4
    capfd.readouterr()
    assert cli.main(["why", "Trainer", f"--root={series.root}", "--json"]) == exit_codes.DONE
    (trainer,) = json.loads(capfd.readouterr().out)["nodes"]
    assert trainer["differences"] == [{"kind": "setting", "name": "seed", "old": 1, "new": 3}]

    assert "This is the first run" in report(a)
    page, before = Tables(report(c)), Tables(report(again))
    assert page.rows["changes"] == [["seed 1 → 3"]]
    assert page.told("nodes", "Trainer")[0].startswith("setting seed: 1 -> 3, since the run 2")
    assert {row[1] for row in before.rows["nodes"] if row[0].startswith("Trainer ")} == {"cached"}
    assert page.rows["images"] == before.rows["images"]
    assert page.rows["images"][0][0].startswith("200 train, 50 test ")
    digests = [dict(row[0].rsplit(" ", 1) for row in one.rows["digests"]) for one in (before, page)]
    assert digests[1]["baseline"] == digests[0]["model"], "of A, again, which is served"
    assert digests[1]["pushed version"] == digests[1]["model"] != digests[0]["model"]
    assert page.terms["made-with"]["Python"] == platform.python_version()
    old, new = series.versions()[-2:]
    assert f"from Model and Baseline (version {old}, digest {digests[0]['model'][:8]})" in report(c)
    assert f"Version {new} (pushed by this run), from Verdict" in report(c)


def test_a_state_directory_may_be_moved(series, tmp_path, toy, capfd):
    _, first = series.first(*A)
    moved = tmp_path / "elsewhere"
    series.root.rename(moved)
    code, again = Series(moved, toy, capfd).run(*A)
    assert code == exit_codes.DONE
    for node in ("ImageExampleGen", "StatisticsGen", "StrictExampleValidator", "Transform", "Trainer"):
        assert took(again, node) == "cached", node
    assert f"UNCHANGED: this model is already the newest version, {moved}" in again
    assert baseline(again) == elbo(first)
    assert not series.root.exists()


def test_a_served_model_that_cannot_be_read_stops_the_run_until_the_user_does_without(series):
    series.first(*A)
    model = series.only("Trainer/model/*/Format-Serving")
    content = bytearray((model / "saved_model.pb").read_bytes())
    content[99] ^= 4
    (model / "saved_model.pb").write_bytes(content)
    before = series.versions()
    for arguments in (A, B):
        code, console = series.run(*arguments)
        assert code == exit_codes.FAILED
        (sentence,) = re.findall("^vaeiaf: (.+)$", console, re.MULTILINE)
        assert str(model.parent) in sentence
        assert "--no-baseline" in sentence
        assert "training on" not in console
    assert series.versions() == before
    code, console = series.run(*B, "--no-baseline")
    assert code == exit_codes.DONE
    assert "Note: not compared with an earlier model (--no-baseline)." in console
    assert "Last blessed model" not in console
    assert "not compared with an earlier model (--no-baseline)" in report(console)
    code, console = series.run(*B)
    assert code == exit_codes.DONE
    assert "Note:" not in console
    assert "Last blessed model" in console


def test_after_a_rollback_the_next_model_is_compared_with_the_restored_one_and_a_withdrawn_one_stays_away(
    series, capfd
):
    _, a = series.first(*A)
    series.run(*B)
    root = f"--root={series.root}"
    assert cli.main(["rollback", root, "--reason=worse samples"]) == exit_codes.DONE
    _, second, _ = series.versions()
    code, again = series.run(*B)
    assert (code, baseline(again)) == (exit_codes.DONE, elbo(a))
    assert cli.main(["withdraw", str(second), root, "--reason=worse samples"]) == exit_codes.DONE
    code, again = series.run(*B, "--keep-runs=1", "--keep-versions=1")
    assert (code, took(again, "Trainer")) == (exit_codes.REFUSED, "cached")
    assert re.search(r"^Retention: 2 versions, 2 withdrawn versions, 2 runs, \d+ artifacts, ", again, re.MULTILINE)
    assert f"REFUSED: this model is version {second}, withdrawn by " in again
    assert "worse samples" in report(again)
    capfd.readouterr()
    assert cli.main(["models", root, "--json"]) == exit_codes.DONE
    models = json.loads(capfd.readouterr().out)
    assert f"{models[0]['elbo']:.2f}" == elbo(a)
    assert [model["state"] for model in models] == ["served", "withdrawn", "withdrawn"]
    assert models[0]["restores"]
    assert cli.main(["verify", root]) == exit_codes.DONE
    _, c = series.run("--seed=3")
    assert baseline(c) == elbo(a)


@pytest.fixture
def pushed_meanwhile(series, monkeypatch):
    """Pushes a model of another run when the pusher asks for its lock."""

    def of(other):
        locked = components.gate.pusher.locked

        @contextlib.contextmanager
        def late(path, work):
            (version,) = other.versions()
            target = series.pushed / str(series.versions()[-1] + 1 if series.versions() else version)
            shutil.copytree(other.pushed / str(version), target)
            shutil.copy(digest_file(str(other.pushed / str(version))), digest_file(str(target)))
            monkeypatch.undo()
            with locked(path, work):
                yield

        monkeypatch.setattr(components.gate.pusher, "locked", late)

    return of


def test_a_model_is_pushed_over_one_that_was_pushed_during_its_run_if_the_gate_allows(
    series, tmp_path, toy, capfd, pushed_meanwhile
):
    other = Series(tmp_path / "other", toy, capfd)
    _, b = other.first(*B)
    _, a = series.first(*A)
    pushed_meanwhile(other)
    code, console = series.run("--seed=3")
    assert code == exit_codes.DONE
    assert baseline(console) == elbo(b) != elbo(a)
    assert len(series.versions()) == 3
    note = f"another run pushed version {series.versions()[1]} during this one"
    assert note in console
    assert note in report(console)


def test_a_model_that_is_worse_than_one_pushed_during_its_run_is_refused(
    series, tmp_path, toy, capfd, pushed_meanwhile
):
    other = Series(tmp_path / "other", toy, capfd)
    other.first("--epochs=10")
    untrained = ("--learning-rate=1e-8", "--max-regression=0.5")
    series.first(*untrained)
    pushed_meanwhile(other)
    code, console = series.run(*untrained, "--epochs=2")  # as good as the first one
    assert code == exit_codes.REFUSED
    assert "worse by more than the 0.50 allowed" in console
    assert "another run pushed version " in console
    assert "another run pushed version " in report(console)
    assert len(series.versions()) == 2


def test_a_version_of_unknown_origin_is_no_consent(series):
    series.first(*A)
    (series.pushed / "9999999999").mkdir()
    code, console = series.run(*B)
    assert code == exit_codes.FAILED
    assert "version 9999999999, which is served from" in console
    assert versions(str(series.pushed))[-1] == 9999999999


def test_shared_images_that_are_allowed_are_counted_in_the_verdict_and_the_report(series, tmp_path, capfd):
    train, test = gradients("train", 60, 0), gradients("test", 20, 1000)
    twins = [(f"twin_{i}", image, label) for i, (_, image, label) in enumerate(test[:3])]
    doubled = Series(series.root, write_toy(tmp_path / "doubled", train + twins, test), capfd)
    code, console = doubled.run()
    assert code == exit_codes.BAD_INPUT
    assert "vaeiaf: 3 of 20 test images are also training images, pixel by pixel: " in console
    assert "StatisticsGen" not in console
    assert "--allow-shared-images" in console
    code, console = doubled.run("--allow-shared-images")
    assert code == exit_codes.DONE
    note = "3 test images are also training images (--allow-shared-images)"
    assert f"Note: {note}" in console
    assert note in report(console)
