"""`--json` of the commands that talk to Kubeflow: standard output is one document with the documented keys."""

import json

import pytest

import documented
from kubeflow.spec.contract import FACTS, OUTCOME
from pipeline import cli
from trainer.failure import Failure, Kind

ENDED = {"image-example-gen": "SUCCEEDED", "trainer": "SUCCEEDED"}
REFUSAL = Failure(Kind.REFUSED, "its ELBO is too low")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("submit", []),
        ("submit", ["--wait"]),
        ("schedule", ["--cron=0 0 3 * * *", "--name=nightly"]),
        ("schedule", ["--pause=nightly"]),
        ("schedule", ["--resume=nightly"]),
        ("schedule --list", []),
        ("schedule", ["--delete=nightly"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_facts_of_kubeflow(kfp, vaeiaf, command, arguments):
    kfp.story = [("SUCCEEDED", {**ENDED, "verdict": "SUCCEEDED"})]
    vaeiaf("schedule", "--cron=0 0 3 * * *", "--name=nightly")
    code, out, _ = vaeiaf(*command.split(), *arguments, "--json")
    assert code == 0
    found = json.loads(out)
    (keys,) = {frozenset(one) for one in (found if isinstance(found, list) else [found])}
    assert keys == documented.printed()[command]


@pytest.mark.usefixtures("kfp")
def test_facts_of_a_compilation(cluster_file, tmp_path, capsys):
    assert cli.main(["compile", f"--cluster={cluster_file}", f"--output={tmp_path}/p.yaml", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts.keys() == documented.printed()["compile"]
    assert facts["output"] == f"{tmp_path}/p.yaml"


def test_the_end_of_a_run_is_facts_and_its_tasks_are_told_on_standard_error(kfp, vaeiaf):
    kfp.story = [("SUCCEEDED", {**ENDED, "verdict": "SUCCEEDED"})]
    kfp.logs = {"verdict": json.dumps({OUTCOME: "PUSHED", FACTS: {"state": "pushed", "elbo": -1.5}})}
    code, out, err = vaeiaf("submit", "--wait", "--json")
    facts = json.loads(out)
    assert (code, facts["exit_code"], facts["state"]) == (0, 0, "done")
    assert facts["facts"] == {"state": "pushed", "elbo": -1.5}
    assert [task["task"] for task in facts["tasks"]] == [*ENDED, "verdict"]
    assert "\nverdict " in err


def test_the_failures_of_a_run_are_facts(kfp, vaeiaf):
    kfp.story = [("FAILED", {**ENDED, "verdict": "FAILED"})]
    kfp.messages = {"verdict": [f"main: Error (exit code 1): {REFUSAL.to_json()}"]}
    code, out, _ = vaeiaf("submit", "--wait", "--json")
    facts = json.loads(out)
    assert (code, facts["exit_code"], facts["state"], facts["facts"]) == (3, 3, "refused", None)
    assert facts["failures"]["verdict"]["sentence"] == REFUSAL.sentence
