"""Commands of a state directory in a pod: what they say and write comes back, and nothing is left."""

import errno
import json
import os
import random
import subprocess
import sys

import pytest
from kube_clock import StillClock
from kube_emulator import Emulator
from kube_state import ScriptedKubelet
from kube_world import api_client, wait_until

from exported import push
from kubeflow.errand import request
from kubeflow.errand.parcel import lines
from kubeflow.errand.request import Answer, Request
from kubeflow.spec.cluster import Cluster
from kubeflow.workers import kube_api
from pipeline import cli
from pipeline.cli import _inside
from state_root import StateRoot
from toy_data import png
from trainer import exit_codes
from trainer.shape import Shape

SHAPE = Shape(8, 6, 3)


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
def vaeiaf(kube, tmp_path, capsys):
    """Runs a command on the cluster: exit code, output, complaints."""
    settings = {"image": "vaeiaf:1", "namespace": "team", "database": {"kind": "sqlite"}}
    volume = {"claim": "vaeiaf", "path": str(tmp_path / "volume")}
    (tmp_path / "cluster.yaml").write_text(json.dumps({**settings, "volume": volume}))

    def run(*arguments):
        code = cli.main([*arguments, "--cluster", str(tmp_path / "cluster.yaml")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def works(run):
    """Runs the pod's command."""
    run.running()
    _, *command = run.command()
    done = subprocess.run([sys.executable, *(word for word in command if word != "-P")], capture_output=True, text=True)
    for line in ("a warning of a library", *done.stdout.splitlines()):
        run.log(line)
    run.ended(done.returncode, message=done.stderr[-500:])


def test_the_facts_of_the_volume_come_back(vaeiaf, kube, state):
    kube.script = works
    code, out, err = vaeiaf("models", "--json")
    assert (code, err) == (exit_codes.DONE, "")
    assert [model["version"] for model in json.loads(out)] == state.versions()[::-1]


def test_a_change_is_made_there_and_has_its_author_from_here(vaeiaf, kube, state, monkeypatch, capsys):
    kube.script = works
    monkeypatch.setattr("pipeline.cli._errand.user", lambda: "ada@desk")
    code, out, _ = vaeiaf("rollback", "--reason=grey samples $(JOB_COMPLETION_INDEX) $$")
    assert (code, state.content()) == (exit_codes.DONE, "a")
    assert "the model of " in out
    cli.main(["status", f"--root={state.root}", "--json"])
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert (change["who"], change["reason"]) == ("ada@desk", "grey samples $(JOB_COMPLETION_INDEX) $$")


def test_a_mistake_there_is_a_mistake_here(vaeiaf, kube, state):
    kube.script = works
    code, out, err = vaeiaf("rollback", "7", "--reason=grey samples")
    assert (code, out) == (exit_codes.BAD_INPUT, "")
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
    assert (code, out) == (exit_codes.FAILED, "")
    assert err.startswith(sentence)


def test_a_root_has_no_meaning_on_a_cluster(vaeiaf, kube, state):
    assert vaeiaf("status", "--root=here")[2] == (
        "vaeiaf: --root has no meaning with --cluster. Leave one of them out\n"
    )


def answers(**fields):
    """Returns a script whose pod gives this answer."""

    def script(run):
        run.running()
        for line in (
            "a warning of a library",
            *lines(Answer(**{"code": 0, "out": "", "err": "", "files": {}} | fields).text()),
        ):
            run.log(line)
        run.ended(0)

    return script


def pages(count=1):
    return {f"{i}.png": random.Random(i).randbytes(20_000) for i in range(count)}


def test_the_files_of_a_command_come_to_the_path_that_the_user_named(vaeiaf, kube, state, tmp_path, monkeypatch):
    kube.script = works
    monkeypatch.chdir(tmp_path)
    code, out, err = vaeiaf("open", "--output=pages/r.html", "--json")
    assert (code, err) == (0, "")
    page = max(state.root.glob("artifacts/*/Report/report/*/index.html"), key=lambda path: int(path.parent.name))
    assert json.loads(out)["path"] == str(tmp_path / "pages/r.html")
    assert (tmp_path / "pages/r.html").read_text() == page.read_text()
    assert os.listdir(tmp_path / "pages") == ["r.html"]


def test_the_page_of_all_runs_comes_to_a_file_here(vaeiaf, kube, state, tmp_path, monkeypatch):
    kube.script = works
    monkeypatch.chdir(tmp_path)
    assert vaeiaf("report", "--series") == (0, f"{tmp_path}/vaeiaf-runs.html\n", "")
    assert "<h2>vaeiaf-toy</h2>" in (tmp_path / "vaeiaf-runs.html").read_text()


def test_images_of_this_machine_are_encoded_there(vaeiaf, kube, state, tmp_path):
    kube.script = works
    push(state.root / "pushed" / "models", 7, SHAPE)
    (tmp_path / "here.png").write_bytes(png(7, SHAPE))
    (state.root / "there.png").write_bytes(png(7, SHAPE))
    code, out, err = vaeiaf(
        "encode", "models/7", str(tmp_path / "here.png"), "there.png", f"--output={tmp_path}/latents.jsonl"
    )
    assert (code, err) == (0, "")
    assert out == f"4 latents of 2 images by {state.root}/pushed/models/7 in {tmp_path}/latents.jsonl\n"
    here, there = map(json.loads, (tmp_path / "latents.jsonl").read_text().splitlines())
    assert (here.pop("id"), there.pop("id")) == (str(tmp_path / "here.png"), "there.png")
    assert here == there


def test_a_log_that_breaks_off_is_read_again_and_its_progress_told(vaeiaf, kube, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.cli._errand.TOLD", 30_000)
    kube.script = answers(files=pages(3), out="done\n", code=3)
    kube.fail("get pods/log", "cut", lines=2)
    kube.fail("get pods/log", 500)
    kube.state.clock.run()
    code, out, err = vaeiaf("compare", "a", "b", f"--output={tmp_path}/pages")
    assert (code, out) == (3, "done\n")
    assert err.startswith("Received 0 of 0 MB\n")
    assert {path.name: path.read_bytes() for path in (tmp_path / "pages").iterdir()} == pages(3)


@pytest.mark.parametrize("fault", ["rotated", "away", "full"])
def test_files_that_do_not_come_whole_do_not_come(vaeiaf, kube, tmp_path, monkeypatch, fault):
    kube.script = answers(files=pages(3), out="done\n")
    if fault == "rotated":
        kube.state.max_log = 30_000
    elif fault == "away":
        kube.fail("get pods/log", "cut", times=99, lines=1)
        kube.state.clock.run()
    else:
        monkeypatch.setattr(
            "trainer.storage.atomic.sync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full"))
        )
    code, out, err = vaeiaf("compare", "a", "b", f"--output={tmp_path}/pages")
    assert (code, out) == (exit_codes.FAILED, "")
    assert len(err.splitlines()) == 1
    assert os.listdir(tmp_path) == ["cluster.yaml"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "a", "b", "--output=full"],
        ["reconstruct", "a", "x.png", "--output=full"],
        ["sample", "a", "--count=0"],
        ["encode", "a", "x.png", "--output=latents.txt"],
        ["drift", "a", "b", "--output=page.txt"],
        ["open", "--output=page.txt"],
        ["status", "--last=0"],
        ["prune"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_mistake_that_can_be_seen_here_starts_no_pod(vaeiaf, kube, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full/file").parent.mkdir()
    (tmp_path / "full/file").touch()
    assert vaeiaf(*arguments)[0] == exit_codes.BAD_INPUT
    assert not kube.state.created["Job"]


def test_a_folder_is_not_replaced_by_a_file(vaeiaf, kube, tmp_path):
    kube.script = answers(files={"": b"1"}, out="done\n")
    (tmp_path / "samples.png").mkdir()
    code, out, _ = vaeiaf("sample", "a", f"--output={tmp_path}/samples.png")
    assert (code, out) == (exit_codes.BAD_INPUT, "")
    assert (tmp_path / "samples.png").is_dir()


def test_every_command_on_a_state_directory_but_a_run_and_the_doctor_works_on_a_cluster():
    (commands,) = (action.choices for action in cli.parser()._actions if isinstance(action.choices, dict))
    with_root = {name for name, one in commands.items() if "--root" in one._option_string_actions}
    errands = {name for name, one in commands.items() if any(action.dest == "errand" for action in one._actions)}
    assert with_root - {"run", "doctor"} == errands


def test_on_the_volume_no_lock_of_this_machine_stops_a_prune(state):
    settings = {"image": "vaeiaf:1", "namespace": "team", "database": {"kind": "sqlite"}}
    cluster = Cluster(**settings, volume={"claim": "vaeiaf", "path": str(state.root)})
    state.run("c", stops="Trainer")
    state.run("d")

    def facts(command, **options):
        given = {"json": True, "pipeline": None} | options
        answer = _inside.answer_to(Request(command, given, {}), cluster)
        assert (answer.code, answer.err) == (0, "")
        return json.loads(answer.out)

    assert [run["state"] for run in facts("status", last=10)["runs"]] == ["pushed", "running", "pushed", "pushed"]
    (pruned,) = facts("prune", keep=1, older_than=None, dry_run=False)
    assert len(pruned["versions"]) == 2
    assert pruned["leftovers"] == [], "the run that was stopped may be running"


def test_files_that_are_too_large_are_a_mistake_there(state, monkeypatch):
    settings = {"image": "vaeiaf:1", "namespace": "team", "database": {"kind": "sqlite"}}
    cluster = Cluster(**settings, volume={"claim": "vaeiaf", "path": str(state.root)})
    monkeypatch.setattr(request, "MAX_RETURNED", 1)
    given = {"json": False, "pipeline": None, "run_id": None, "output": "/here/page.html"}
    answer = _inside.answer_to(Request("open", given, {}), cluster)
    assert (answer.code, answer.files) == (exit_codes.BAD_INPUT, {})
    assert answer.err.startswith("vaeiaf: files that come back from a pod: expected at most ")
