import pytest

from state_root import StateRoot
from trainer import exit_codes
from trainer.storage.lock import alone


def test_each_run_has_its_verdict_its_number_and_what_it_pushed(state, facts):
    first = state.run("a", elbo=-12.0)
    state.run("a")
    state.run("b", elbo=-11.0)
    refused = state.run("c", elbo=-20.0, refused="too low")
    failed = state.run("d", fails="Trainer")
    state.run("e", stops="Evaluator")
    runs = facts("status")["runs"]
    assert [(run["state"], run["node"]) for run in runs] == [
        ("stopped", "Evaluator"),
        ("failed", "Trainer"),
        ("refused", None),
        ("pushed", None),
        ("unchanged", None),
        ("pushed", None),
    ]
    one, two = state.versions()
    assert [run["version"] for run in runs] == [None, None, None, two, one, one]
    assert (runs[2]["run"], runs[2]["elbo"], runs[2]["reasons"]) == (refused, -20.0, "too low")
    assert (runs[1]["run"], runs[1]["elbo"]) == (failed, None)
    assert (runs[-1]["run"], runs[-1]["elbo"], runs[-1]["standard_error"]) == (first, -12.0, 0.5)


def test_a_run_that_holds_the_lock_is_running_and_the_one_before_is_not(state, facts):
    state.run("a", stops="Trainer")
    state.run("b", stops="Evaluator")
    with alone(str(state.root), "run", "--root"):
        runs = facts("status")["runs"]
    assert [(run["state"], run["node"]) for run in runs] == [("running", "Evaluator"), ("stopped", "Trainer")]
    assert facts("status")["runs"][0]["state"] == "stopped"


def test_a_run_of_another_pipeline_that_holds_the_lock_is_not_taken_for_one_that_stopped(state, facts):
    state.run("a", stops="Trainer")
    StateRoot(state.root, "vaeiaf-other").run("b", stops="Evaluator")
    with alone(str(state.root), "run", "--root"):
        (run,) = facts("status", "--pipeline=vaeiaf-toy")["runs"]
    assert run["state"] == "stopped"


def test_the_text_says_what_is_served_and_what_happened(state, vaeiaf):
    state.run("a", elbo=-12.0)
    state.run("c", refused="too low")
    code, out, _ = vaeiaf("status")
    assert code == exit_codes.DONE
    (version,) = state.versions()
    serving, _, heads, *rows = [line.rstrip() for line in out.splitlines()]
    assert serving == f"vaeiaf-toy serves version {version}, ELBO -12.00 ± 0.98."
    assert heads.split() == ["run", "verdict", "version", "ELBO,", "nats", "per", "image", "took", "id", "reasons"]
    assert "refused" in rows[0]
    assert rows[0].endswith("too low")
    assert f"pushed   {version}" in rows[1]


def test_only_the_last_runs_are_shown(three, facts):
    assert [run["version"] for run in facts("status", "--last=2")["runs"]] == three.versions()[:0:-1]


def test_two_pipelines_are_told_apart(state, facts, vaeiaf):
    other = StateRoot(state.root, "vaeiaf-other")
    state.run("a")
    other.run("b")
    served = facts("status")["served"]
    assert {name: version["version"] for name, version in served.items()} == {
        "vaeiaf-toy": state.versions()[0],
        "vaeiaf-other": other.versions()[0],
    }
    assert [run["pipeline"] for run in facts("status", "--pipeline=vaeiaf-other")["runs"]] == ["vaeiaf-other"]
    assert "vaeiaf-other" in vaeiaf("status")[1].splitlines()[4]
    assert vaeiaf("rollback", "--reason=x") == (
        exit_codes.BAD_INPUT,
        "",
        "vaeiaf: the state directory has several pipelines. Name one with --pipeline: vaeiaf-other, vaeiaf-toy\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--last=0"], "--last: expected at least 1, got 0"),
        (
            ["--pipeline=vaeiaf-tow"],
            "--pipeline: expected one of vaeiaf-toy, got 'vaeiaf-tow'. Did you mean vaeiaf-toy?",
        ),
    ],
)
def test_the_wording_of_mistakes(three, vaeiaf, arguments, message):
    assert vaeiaf("status", *arguments) == (exit_codes.BAD_INPUT, "", f"vaeiaf: {message}\n")


@pytest.mark.parametrize("command", ["status", "models", "rollback --reason=x", "withdraw 1 --reason=x"])
def test_a_folder_that_is_no_state_directory_is_refused(tmp_path, vaeiaf, command):
    code, out, err = vaeiaf(*command.split(), f"--root={tmp_path}/nothing")
    assert (code, out) == (exit_codes.BAD_INPUT, "")
    assert err == (
        f"vaeiaf: --root {tmp_path}/nothing is not a state directory with metadata.sqlite. Give the --root of earlier "
        "runs, or start one with vaeiaf run\n"
    )
