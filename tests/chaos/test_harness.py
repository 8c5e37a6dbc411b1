"""The harness judges a sound program, and one that trusts every file that it finds."""

import random
import time

import pytest

from tests.chaos import damages, judge, kills, models, recipes
from tests.chaos.damage import KINDS, WAYS, damage, kind
from tests.chaos.lab import Lab
from tests.chaos.processes import NODES, Run, start
from tests.chaos.rows import Result, failures, table

CACHED = ("ImageExampleGen", "StatisticsGen", "Transform", "Trainer")


def program(root, settings, careful):
    """Stands in for `vaeiaf run`: writes or reuses a file for each node, and pushes the Trainer's.

    With `careful`, it reads and compares the cached and pushed files instead of checking that they exist.
    """
    model = f"weights of {settings}".encode()
    for node in NODES:
        if node == "Tuner":
            continue
        print(f"{node:<24}", end="", flush=True)
        folder = root / "artifacts" / recipes.PIPELINE / node / (f"model/{settings}" if node == "Trainer" else "out/1")
        content = model if node == "Trainer" else node.encode()
        if node in CACHED and folder.exists() and (not careful or contents(folder) == content):
            print("  cached", flush=True)
            continue
        time.sleep(0.02)
        if node == "Trainer":
            for epoch in range(1, 9):
                print(f"\n  epoch {epoch}/8", flush=True)
                time.sleep(0.01)
        write(root / "unfinished", content)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rename(root / f"damaged-{time.monotonic_ns()}")
        (root / "unfinished").rename(folder)
        print("   0.1 s", flush=True)
    pushed = root / "pushed" / recipes.PIPELINE
    newest = max(models.versions(root), default=0)
    record = root / "metadata.sqlite"
    known = contents(pushed / str(newest)) if careful else record.exists() and record.read_bytes()
    if newest and known == model:
        print(f"UNCHANGED: this model is already the newest version, {pushed / str(newest)}")
        return judge.PUSHED
    write(root / "unfinished", model)
    pushed.mkdir(parents=True, exist_ok=True)
    (root / "unfinished").rename(pushed / str(newest + 1))
    record.write_bytes(model)
    return judge.PUSHED


def write(folder, content):
    (folder / "variables").mkdir(parents=True, exist_ok=True)
    (folder / "variables/data").write_bytes(content)


def contents(folder):
    try:
        return (folder / "variables/data").read_bytes()
    except FileNotFoundError:
        return None


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Builds a lab in which `program` stands in for the pipeline."""

    def build(careful):
        def main(arguments):
            (root,) = (argument.removeprefix("--root=") for argument in arguments if argument.startswith("--root="))
            (settings,) = (name for name in recipes.SETTINGS if recipes.arguments(root, name) == arguments)
            return program(tmp_path.__class__(root), settings, careful)

        monkeypatch.setattr("pipeline.cli.main", main)
        monkeypatch.setattr(models, "weights", lambda model: str(contents(model)))
        lab = Lab(tmp_path / "lab", 0, write_data=lambda folder: folder.mkdir())
        lab.prepare(["plain", "other", "third", "workers"])
        return lab

    return build


def damaged(lab, kind, way):
    (result,) = damages.run(lab, damages.Trial(f"trial {kind} {way}", False, kind, way, "other", "Trainer"))
    return result.problems


def test_a_sound_program_passes_kills_and_damage(lab):
    lab = lab(careful=True)
    found = [result for sequence in kills.plan(0, 8) for result in kills.run(lab, sequence._replace(settings="plain"))]
    assert len(found) == 8
    outcomes = [result.outcome for result in found]
    assert set(outcomes) <= {"killed", "had ended"}, "the program may end just before the signal"
    assert outcomes.count("killed") > 4
    assert [result.problems for result in found] == [[]] * 8
    for what, way in (("Examples", "flip"), ("model", "zero"), ("pushed version", "truncate")):
        assert damaged(lab, what, way) == []


def test_a_program_that_trusts_what_it_finds_is_caught_and_kept(lab, tmp_path):
    lab = lab(careful=False)
    assert "ImageExampleGen took its damaged result from the cache" in damaged(lab, "Examples", "flip")[0]
    assert "is damaged, and was pushed or called unchanged" in damaged(lab, "pushed version", "zero")[0]
    assert (tmp_path / "lab/failures/trial-pushed-version-zero/why.txt").exists()


def test_a_run_that_hangs_is_killed_and_said_to_hang(tmp_path):
    run = start(lambda: time.sleep(60) or 0, tmp_path / "console", {}, tmp_path)
    run.wait(0.2)
    assert judge.ending(run) == ["it hung"]


@pytest.mark.parametrize(
    ("code", "console", "problem"),
    [
        (0, "PUSHED", None),
        (1, "vaeiaf: no space is left on the disk\nLog: x", None),
        (1, "Log: x", "expected one sentence"),
        (1, "vaeiaf: one and only\nvaeiaf: a second one", "expected one sentence"),
        (1, "vaeiaf: DataLossError: inflate() failed", "a foreign error"),
        (1, "vaeiaf: tensorflow.errors.DataLossError: inflate() failed", "a foreign error"),
        (2, "Traceback (most recent call last)\nvaeiaf: the image is cut", "a traceback"),
        (0, "vaeiaf: all is lost", "exit code 0 with the sentence"),
        (-11, "", "exit code -11"),
    ],
)
def test_an_end_is_judged_by_code_and_console(tmp_path, code, console, problem):
    run = Run(0, tmp_path / "console")
    run.path.write_text(console)
    run.code = code
    found = judge.ending(run)
    assert (problem is None and found == []) or (problem is not None and problem in found[0])


def test_a_model_that_must_be_refused_and_one_that_changed_are_found(tmp_path):
    write(tmp_path / "pushed" / recipes.PIPELINE / "1", b"old")
    before = models.versions(tmp_path)
    write(tmp_path / "pushed" / recipes.PIPELINE / "1", b"new")
    write(tmp_path / "pushed" / recipes.PIPELINE / "2", b"worse")
    run = Run(0, tmp_path / "console")
    run.code = judge.REFUSED
    changed, pushed = judge.served(tmp_path, run, before, reference=None)
    assert "changed in place: [1]" in changed
    assert "must be refused was pushed: [2]" in pushed


@pytest.mark.parametrize("way", WAYS)
def test_damage_changes_the_file_and_is_the_same_again(tmp_path, way):
    original = bytes(range(1, 256)) * 10
    states = []
    for _ in range(2):
        path = tmp_path / "file"
        path.write_bytes(original)
        done = damage(path, way, random.Random(7))
        assert done.is_there()
        assert done.way == way
        assert not path.exists() or path.read_bytes() != original
        states.append(done.state)
        path.write_bytes(original)
        assert not done.is_there()
    assert states[0] == states[1]


def test_an_empty_file_can_only_be_deleted(tmp_path):
    (tmp_path / "BLESSED").touch()
    assert damage(tmp_path / "BLESSED", "zero", random.Random(0)).way == "delete"
    assert not (tmp_path / "BLESSED").exists()


def test_files_have_kinds():
    for name, expected in (
        ("artifacts/vaeiaf-toy/Trainer/model/19/Format-Serving/saved_model.pb", "model"),
        ("artifacts/vaeiaf-toy/Trainer/model/19.digests.json", "digests"),
        ("artifacts/vaeiaf-toy/ImageExampleGen/examples/1/Split-train/data_tfrecord-00000-of-00001.gz", "Examples"),
        ("pushed/vaeiaf-toy/1795637524/variables/variables.index", "pushed version"),
        ("training/vaeiaf-toy/0123456789abcdef/step-000000032/state.index", "checkpoint"),
        ("training/vaeiaf-toy/0123456789abcdef/job/train-image.npy", "workers' job"),
        ("metadata.sqlite-journal", "metadata.sqlite"),
        ("lock", "lock"),
    ):
        assert kind(name) == expected


def test_plans_are_the_same_for_a_seed_and_reach_every_node_and_kind():
    sequences = list(kills.plan(3, 200))
    assert sequences == list(kills.plan(3, 200))
    assert sequences != list(kills.plan(4, 200))
    aims = [aim for sequence in sequences for aim in sequence.aims]
    assert len(aims) == 200
    assert {aim.node for aim in aims} == set(NODES)
    assert {aim.victim for aim in aims} == {"run", "worker", "all"}
    trials = list(damages.plan(3, 105))
    kinds = {*KINDS} - {*damages.UNAIMED}
    assert {trial.kind for trial in trials if trial.running} == kinds
    assert {trial.kind for trial in trials if not trial.running} == kinds
    assert {trial.way for trial in trials} == set(WAYS)


def test_the_table_counts_and_failures_name_their_trial():
    results = [
        Result("SIGKILL", "Trainer", "killed"),
        Result("SIGKILL", "Trainer", "killed", ["it hung"], "kills 3", "/kept"),
    ]
    assert table(results).splitlines()[-1] == "| SIGKILL | Trainer | 2 | 2 killed | 1 |"
    assert failures(results) == "kills 3, SIGKILL, Trainer (killed), kept in /kept:\n  - it hung"
