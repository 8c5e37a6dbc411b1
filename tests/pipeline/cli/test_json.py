"""`--json` of every command on this machine: standard output is one document with the documented keys."""

import json

import pytest

import documented
from comparisons import DRIFTED
from components.gate.pusher import Push
from components.gate.verdict import Verdict
from pipeline import cli, local
from pipeline.outcome import Comparison, Outcome
from trainer import exit_codes
from trainer.errors import InterruptError, UserError

NUMBERS = {"elbo": -1850.0, "elbo_standard_error": 2.0, "images": 50.0, "independent_pixels": -2100.0}
GAIN = {"elbo_gain": 3.0, "elbo_gain_lower": 2.0, "elbo_gain_upper": float("nan")}
SILENT = {"completion", "schema"}  # what they print has its own form
CHANGING = {"rollback", "withdraw", "report"}
ELSEWHERE = {"run", "submit", "schedule", "compile"}  # below, and tests/kubeflow/client/test_json.py

ON_A_STATE_DIRECTORY = {
    "status": [],
    "models": [],
    "rollback": ["--reason=why"],
    "withdraw": ["--reason=why", "NEWEST"],
    "why": [],
    "open": [],
    "report": ["--series"],
    "verify": [],
    "prune": ["--keep=1", "--dry-run"],
    "doctor": ["--dataset=photo_patches"],
}
ON_MODELS = {
    "evaluate": ["served", "--data=DATA"],
    "compare": ["100", "200", "--data=DATA"],
    "sample": ["served", "--count=1", "--output=TMP/samples.png"],
    "reconstruct": ["served", "IMAGE", "--output=TMP/made"],
    "encode": ["served", "IMAGE", "--output=TMP/latents.csv"],
    "drift": ["DATA", "DATA"],
}


def keys_of(found):
    """Returns the keys of an object, or those that all objects of a list have."""
    (keys,) = {frozenset(one) for one in (found if isinstance(found, list) else [found])}
    return keys


def test_every_command_has_documented_keys():
    (commands,) = (action.choices for action in cli.parser()._actions if isinstance(action.choices, dict))
    with_json = {name for name, one in commands.items() if "--json" in one._option_string_actions}
    assert with_json == set(commands) - SILENT
    assert {name.partition(" ")[0] for name in documented.printed()} == with_json
    assert with_json == ON_A_STATE_DIRECTORY.keys() | ON_MODELS.keys() | ELSEWHERE


def snapshot(root):
    """Returns every file and folder below `root` with its time, and the content of the files."""
    found = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    return found, {path: path.read_bytes() for path in found if path.is_file()}


@pytest.mark.parametrize("command", ON_A_STATE_DIRECTORY)
def test_facts_of_a_state_directory(command, three, vaeiaf):
    arguments = [word.replace("NEWEST", str(three.versions()[-1])) for word in ON_A_STATE_DIRECTORY[command]]
    before = snapshot(three.root)
    _, out, err = vaeiaf(command, "--json", *arguments)
    assert (keys_of(json.loads(out)), err) == (documented.printed()[command], "")
    assert (snapshot(three.root) == before) == (command not in CHANGING), "of the others no file is touched or made"


@pytest.mark.parametrize("command", ON_MODELS)
def test_facts_of_models(command, call, pushed, data, image, tmp_path):
    places = {"DATA": data, "IMAGE": image, "TMP": str(tmp_path)}
    arguments = ON_MODELS[command]
    for name, place in places.items():
        arguments = [word.replace(name, place) for word in arguments]
    before = snapshot(pushed)
    assert keys_of(call(command, "--json", *arguments).facts) == documented.printed()[command]
    assert snapshot(pushed) == before


def outcome(push, blessed=True, **more):
    verdict = Verdict(blessed, NUMBERS | GAIN, NUMBERS, {}, [] if blessed else ["low"], [])
    return Outcome(verdict, push, "/r", True, **more)


@pytest.mark.parametrize(
    ("ending", "code", "some"),
    [
        (
            outcome(Push(pushed_to="/p/7"), spans=("a", "b"), comparisons=(Comparison(DRIFTED, "/page"),)),
            exit_codes.DONE,
            {"state": "pushed", "version": 7, "gain": 3.0, "gain_interval": [2.0, None], "spans": ["a", "b"]},
        ),
        (outcome(Push(unchanged="/p/7")), exit_codes.DONE, {"state": "unchanged", "version": 7, "pushed_to": None}),
        (outcome(Push(), False), exit_codes.REFUSED, {"state": "refused", "reasons": ["low"], "version": None}),
        (UserError("no images", value=3), exit_codes.BAD_INPUT, {"state": "failed", "elbo": None}),
        (InterruptError(15), 143, {"state": "stopped"}),
    ],
    ids=["pushed", "unchanged", "refused", "failed", "stopped"],
)
def test_a_run_ends_with_one_object_whatever_its_end(tmp_path, monkeypatch, capfd, ending, code, some):
    def run(config, run_id, story):
        story.say("a line of the story")
        if isinstance(ending, Exception):
            raise ending
        return ending

    monkeypatch.setattr(local, "run", run)
    assert cli.main(["run", f"--root={tmp_path}/root", "--json"]) == code
    said = capfd.readouterr()
    facts = json.loads(said.out)
    assert facts.keys() == documented.printed()["run"]
    assert facts.items() >= {**some, "exit_code": code}.items()
    assert (facts["failure"] or {}).get("sentence") == (str(ending) if isinstance(ending, Exception) else None)
    assert "a line of the story" in said.err
