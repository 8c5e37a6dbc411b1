"""Commands of a state directory in a pod: what they say comes back, and nothing is left."""

import json
import subprocess
import sys

import pytest
from kube_clock import StillClock
from kube_emulator import Emulator
from kube_state import ScriptedKubelet
from kube_world import api_client, wait_until

from kubeflow.errand.errand import Said, line_of
from kubeflow.workers import kube_api
from pipeline import cli, words
from pipeline.cli import _inside
from state_root import StateRoot


@pytest.fixture
def state(tmp_path):
    state = StateRoot(tmp_path / "volume")
    for model in "ab":
        state.run(model)
    return state


@pytest.fixture
def kube(monkeypatch):
    """A Kubernetes whose pods do what the script says."""
    monkeypatch.setattr("kube_clock.LIMIT", 300)  # seconds: a pod's command takes real time
    clock = StillClock()
    kube = Emulator(ScriptedKubelet(lambda run: kube.script(run)), namespace="team", clock=clock)
    kube.start()
    kube.state.create("ServiceAccount", {"kind": "ServiceAccount", "metadata": {"name": "default-editor"}})
    monkeypatch.setattr(kube_api, "connect", lambda: api_client(kube.url))
    monkeypatch.setattr("kubeflow.doctor.kube.Clock", lambda: clock)
    yield kube
    wait_until(lambda: not [key for key in kube.state.objects if key[0] in ("Job", "Pod")])
    kube.stop()


@pytest.fixture
def vaeiaf(kube, state, tmp_path, capsys):
    """Runs a command on the cluster: exit code, output, complaints."""
    settings = {"image": "vaeiaf:1", "namespace": "team", "database": {"kind": "sqlite"}}
    volume = {"claim": "vaeiaf", "path": str(state.root)}
    (tmp_path / "cluster.yaml").write_text(json.dumps({**settings, "volume": volume}))

    def run(*arguments):
        code = cli.main([*arguments, "--cluster", str(tmp_path / "cluster.yaml")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def works(run):
    """Runs the pod's command."""
    run.running()
    _, *command = run.pod["spec"]["containers"][0]["command"]
    done = subprocess.run([sys.executable, *(word for word in command if word != "-P")], capture_output=True, text=True)
    for line in ("a warning of a library", *done.stdout.splitlines()):
        run.log(line)
    run.ended(done.returncode, message=done.stderr[-500:])


def test_the_facts_of_the_volume_come_back(vaeiaf, kube, state):
    kube.script = works
    code, out, err = vaeiaf("models", "--json")
    assert (code, err) == (words.PUSHED, "")
    assert [model["version"] for model in json.loads(out)] == state.versions()[::-1]


def test_a_change_is_made_there_and_has_its_author_from_here(vaeiaf, kube, state, monkeypatch, capsys):
    kube.script = works
    monkeypatch.setattr("pipeline.cli._errand.user", lambda: "ada@desk")
    code, out, _ = vaeiaf("rollback", "--reason=grey samples")
    assert (code, state.content()) == (words.PUSHED, "a")
    assert "the model of " in out
    cli.main(["status", f"--root={state.root}", "--json"])
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert (change["who"], change["reason"]) == ("ada@desk", "grey samples")


def test_a_mistake_there_is_a_mistake_here(vaeiaf, kube, state):
    kube.script = works
    code, out, err = vaeiaf("rollback", "7", "--reason=grey samples")
    assert (code, out) == (words.BAD_INPUT, "")
    assert err.startswith("vaeiaf: version: expected one of ")


def dies(run):
    run.running()
    run.ended(1, message="No module named pipeline.cli._inside")


def has_no_image(run):
    run.waiting("ErrImagePull", "no such image")
    run.state.clock.run()  # nothing happens but time


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (dies, "vaeiaf: the pod ended with exit code 1: No module named pipeline.cli._inside. Check that image in"),
        (has_no_image, "vaeiaf: the pod cannot start: ErrImagePull: no such image. Check image and pod in"),
    ],
)
def test_a_pod_that_cannot_say_anything_is_one_sentence(vaeiaf, kube, script, sentence):
    kube.script = script
    code, out, err = vaeiaf("status")
    assert (code, out) == (words.FAILED, "")
    assert err.startswith(sentence)


def test_a_root_has_no_meaning_on_a_cluster(vaeiaf, kube, state):
    assert vaeiaf("status", "--root=here")[2] == (
        "vaeiaf: --root has no meaning with --cluster. Leave one of them out\n"
    )


def test_on_the_volume_no_lock_of_this_machine_stops_a_prune(state, capsys, tmp_path):
    settings = {"image": "vaeiaf:1", "namespace": "team", "database": {"kind": "sqlite"}}
    cluster = json.dumps({**settings, "volume": {"claim": "vaeiaf", "path": str(state.root)}})
    state.run("c", stops="Trainer")
    state.run("d")
    assert _inside.main([cluster, "status", "--json"]) == 0
    said = capsys.readouterr().out
    runs = json.loads(json.loads(said.partition("vaeiaf-said: ")[2])["out"])["runs"]
    assert [run["state"] for run in runs] == ["pushed", "running", "pushed", "pushed"]
    assert _inside.main([cluster, "prune", "--keep=1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.partition("vaeiaf-said: ")[2])
    (pruned,) = json.loads(said["out"])
    assert len(pruned["versions"]) == 2
    assert pruned["leftovers"] == [], "the run that was stopped may be running"
    assert line_of(Said(**said)).endswith(json.dumps(said))
