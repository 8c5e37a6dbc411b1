"""prune: what goes, what stays, and what a killed prune leaves."""

import contextlib
import datetime
import os
import shutil

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.state import prune as prune_module
from pipeline.state.executions import open_store, runs_of
from pipeline.state.prune import Rules, prune
from pipeline.state.verify import verify
from state_root import PIPELINE
from trainer import exit_codes
from trainer.storage.lock import alone

WHY = ("--reason", "grey samples", "--who", "ada")


def models(state):
    """The texts of the models among the artifacts."""
    found = state.root.glob(f"artifacts/{PIPELINE}/Trainer/model/*/Format-Serving/file")
    return {path.read_text().partition(" of ")[0] for path in found}


def live(state):
    return {one.uri for one in open_store(str(state.root)).get_artifacts() if one.state == mlmd.Artifact.LIVE}


def sound(state):
    return verify(str(state.root)).damage == [] and all(os.path.isdir(uri) for uri in live(state))


def test_the_newest_stay_and_the_others_go_from_the_disk_and_the_metadata(three, vaeiaf, facts):
    *_, c = three.versions()
    would = vaeiaf("prune", "--keep=1", "--dry-run")[1]
    assert "vaeiaf-toy: 2 versions, 2 runs, 10 artifacts, 0.0 MB would be removed." in would
    assert models(three) == set("abc")
    code, out, _ = vaeiaf("prune", "--keep=1")
    assert (code, out) == (exit_codes.DONE, would.splitlines()[0].replace("would be removed", "removed") + "\n")
    assert (three.versions(), models(three)) == ([c], {"c"})
    assert sound(three)
    assert not list(three.root.glob(f"artifacts/{PIPELINE}/Report/report/*/index.html"))[1:]
    assert [run["elbo"] for run in facts("status")["runs"]] == [-10.0, -11.0, -12.0]
    assert vaeiaf("prune", "--keep=1")[1] == "vaeiaf-toy: nothing removed.\n"


def test_data_that_a_remaining_run_read_from_the_cache_stay(three, vaeiaf):
    vaeiaf("prune", "--keep=1")
    (examples,) = three.root.glob(f"artifacts/{PIPELINE}/ImageExampleGen/examples/*/file")
    assert examples.read_text() == "images"


def test_the_last_run_that_reached_its_end_stays_behind_runs_that_failed(three, vaeiaf):
    three.run("d", refused="too low", data="the span that the next one is compared with")
    for _ in range(2):
        three.run("e", fails="ImageExampleGen", data="a span whose images cannot be read")
    vaeiaf("prune", "--keep=1")
    examples = three.root.glob(f"artifacts/{PIPELINE}/ImageExampleGen/examples/*/file")
    assert "the span that the next one is compared with" in {path.read_text() for path in examples}
    assert models(three) == {"c", "d"}


def test_what_is_served_and_the_run_that_made_it_stay_however_old(three, vaeiaf):
    a, _, _ = three.versions()
    vaeiaf("rollback", a, *WHY)
    three.run("d", refused="too low")
    three.run("e", refused="too low")
    vaeiaf("prune", "--keep=1")
    assert (three.content(), len(three.versions())) == ("a", 1)
    assert models(three) == {"a", "c", "e"}  # c was blessed last
    assert sound(three)


def test_a_model_that_can_be_rolled_back_to_stays_among_the_artifacts(three, vaeiaf):
    for model in "def":
        three.run(model, refused="too low")
    open_store(str(three.root))
    prune(open_store(str(three.root)), str(three.root), PIPELINE, Rules(versions=None, runs=1))
    assert models(three) == set("abcf")
    vaeiaf("rollback", *WHY)
    assert three.content() == "b"


def test_the_model_blessed_last_stays_where_nothing_is_served(three, vaeiaf):
    for version in three.versions():
        vaeiaf("withdraw", version, "--serve=nothing", *WHY)
    three.run("d", refused="too low")
    three.run("e", refused="too low")
    vaeiaf("prune", "--keep=1")
    assert models(three) == {"c", "e"}
    assert sound(three)


def test_withdrawn_versions_lose_their_files_and_stay_withdrawn(three, vaeiaf, facts):
    _, b, _ = three.versions()
    vaeiaf("withdraw", b, *WHY)
    assert "1 withdrawn version" in vaeiaf("prune", "--keep=5")[1]
    assert {one["version"]: (one["state"], one["size"]) for one in facts("models")}[b] == ("withdrawn", 0)
    assert vaeiaf("rollback", b, *WHY)[0] == exit_codes.BAD_INPUT
    assert sound(three)


def test_an_age_spares_what_is_younger(three, vaeiaf, monkeypatch):
    assert vaeiaf("prune", "--older-than=1")[1] == "vaeiaf-toy: nothing removed.\n"
    found = prune(
        open_store(str(three.root)), str(three.root), PIPELINE, Rules(older_than=datetime.timedelta()), dry_run=True
    )
    assert (len(found.versions), len(found.runs)) == (2, 2)


@pytest.fixture
def litter(three):
    """What a killed run, a killed push and damage left."""
    three.run("d", stops="Trainer")
    damaged = three.root / f"artifacts/{PIPELINE}/Trainer/model/99.damaged-20260101T000000"
    damaged.mkdir()
    digests = three.pushed / "9999999999.digests.json"
    for path in (damaged / "file", damaged.with_name(f"{damaged.name}.json"), digests):
        path.write_text("{}")
    (killed,) = (
        path.parent.parent
        for path in three.root.glob("artifacts/*/Trainer/model/*/*/file")
        if path.read_text()[0] == "d"
    )
    return [damaged, damaged.with_name(f"{damaged.name}.json"), digests, killed]


def test_leftovers_go_but_what_damage_moved_aside_only_by_its_age(litter, three, facts):
    *damaged, digests, killed = map(str, litter)
    (would,) = facts("prune", "--keep=9", "--dry-run")
    assert would["leftovers"] == sorted([digests, killed])
    (would,) = facts("prune", "--keep=9", "--older-than=0", "--dry-run")
    assert would["leftovers"] == sorted([*damaged, digests, killed])
    facts("prune", "--keep=9", "--older-than=0")
    assert not any(path.exists() for path in litter)
    assert sound(three)


def test_on_a_volume_that_others_write_to_a_run_that_has_not_ended_is_left_alone(litter, three):
    three.run("e")
    store, rules = open_store(str(three.root)), Rules(runs=1)
    assert str(litter[-1]) not in prune(store, str(three.root), PIPELINE, rules, is_alone=False, dry_run=True).leftovers
    assert str(litter[-1]) in prune(store, str(three.root), PIPELINE, rules, is_alone=True, dry_run=True).leftovers


def test_a_run_that_starts_during_the_prune_of_a_shared_volume_keeps_what_it_writes(three, monkeypatch):
    folder, asked = three.root / f"artifacts/{PIPELINE}/Trainer/model/999", []

    def runs_and_a_new_one(*arguments):
        asked.append(list(runs_of(*arguments)))
        if len(asked) == 2:
            folder.mkdir()
        return iter(asked[-1])

    monkeypatch.setattr(prune_module, "runs_of", runs_and_a_new_one)
    prune(open_store(str(three.root)), str(three.root), PIPELINE, Rules(runs=1), is_alone=False)
    assert len(asked) == 2
    assert folder.exists()


def test_a_running_run_is_not_disturbed(three, vaeiaf):
    with alone(str(three.root), "run", "--root"):
        code, _, err = vaeiaf("prune", "--keep=1")
    assert (code, models(three)) == (exit_codes.FAILED, set("abc"))
    assert err == f"vaeiaf: {three.root} is in use by another run. Wait until it ends, or choose another --root\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing says what to remove. Give --keep, --older-than, or both"),
        (["--keep=0"], "--keep: expected at least 1, got 0"),
        (["--older-than=-1"], "--older-than: expected a number of days, at least 0, got -1.0"),
    ],
)
def test_the_wording_of_mistakes(three, vaeiaf, arguments, message):
    assert vaeiaf("prune", *arguments) == (exit_codes.BAD_INPUT, "", f"vaeiaf: {message}\n")


def test_what_cannot_be_removed_is_named_and_the_next_prune_removes_it(three, vaeiaf, monkeypatch):
    with monkeypatch.context() as patch:

        def refuse(path, *_, **__):
            raise PermissionError(13, "Permission denied", path)

        patch.setattr(shutil, "rmtree", refuse)
        code, _, err = vaeiaf("prune", "--keep=1")
    assert code == exit_codes.FAILED
    assert "cannot be removed: Permission denied. Give this user the right to, and prune again" in err
    assert sound(three)
    vaeiaf("prune", "--keep=1")
    assert models(three) == {"c"}


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("step", range(0, 34, 3))
def test_a_prune_that_is_killed_anywhere_leaves_a_sound_directory_and_the_next_one_completes_it(
    three, vaeiaf, monkeypatch, step
):
    steps = []

    def dying(function):
        def call(*arguments, **keywords):
            steps.append(function)
            if len(steps) > step:
                raise KilledError
            return function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        for module, name in ((os, "rename"), (os, "replace"), (os, "remove"), (shutil, "rmtree")):
            patch.setattr(module, name, dying(getattr(module, name)))
        with contextlib.suppress(KilledError):
            vaeiaf("prune", "--keep=1")
    assert sound(three)
    assert three.content() == "c"
    vaeiaf("prune", "--keep=1")
    assert models(three) == {"c"}
    assert len(three.versions()) == 1
    assert sound(three)
    assert [
        path.name for path in three.pushed.iterdir() if ".pruned-" in path.name and "unfinished" not in path.name
    ] == []
    assert len(steps) <= 34


def test_a_dry_run_needs_no_lock_and_counts_nothing_of_a_run_that_is_running(three, vaeiaf):
    three.run("d", stops="Trainer")
    with alone(str(three.root), "run", "--root"):
        code, out, _ = vaeiaf("prune", "--keep=1", "--dry-run")
        assert (code, out.count("leftover")) == (exit_codes.DONE, 0)
        assert vaeiaf("prune", "--keep=1")[0] == exit_codes.FAILED
    assert "1 leftover" in vaeiaf("prune", "--keep=1", "--dry-run")[1]
