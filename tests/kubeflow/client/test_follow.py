import json
import os
import pathlib
import signal
import types

import pytest
from kfp_emulator import Fault

from kubeflow.client import follow
from kubeflow.client.argo import Pod, pods
from kubeflow.client.failures import failures
from kubeflow.spec.contract import OUTCOME
from trainer.failure import Failure, Kind

DATA = pathlib.Path(__file__).parents[1] / "data"
NODES = ("image-example-gen", "trainer", "verdict")


RUNNING = ("RUNNING", {"image-example-gen": "RUNNING"})
TRAINING = ("RUNNING", {"image-example-gen": "SUCCEEDED", "trainer": "RUNNING"})
TRAINED = {"image-example-gen": "SUCCEEDED", "trainer": "SUCCEEDED"}


def test_a_line_tells_each_change_of_a_nodes_state_and_only_that(kfp, vaeiaf, clock):
    kfp.story = [
        ("PENDING", {}),
        RUNNING,
        RUNNING,
        TRAINING,
        TRAINING,
        ("SUCCEEDED", {**TRAINED, "verdict": "SUCCEEDED"}),
    ]
    code, out, _ = vaeiaf("submit", "--wait")
    assert code == 0
    lines = [line.split() for line in out.splitlines() if line.startswith(("image", "trainer", "verdict"))]
    assert lines == [
        ["image-example-gen", "running"],
        ["image-example-gen", "succeeded", "65", "s"],
        ["trainer", "running"],
        ["trainer", "succeeded", "65", "s"],
        ["verdict", "succeeded", "65", "s"],
    ]
    assert "root" not in out
    assert "executor" not in out
    assert clock == [follow.POLL_SECONDS] * 5


PUSHED = ("SUCCEEDED", {**TRAINED, "verdict": "SUCCEEDED"})
REFUSED = {**TRAINED, "verdict": "FAILED"}
REFUSAL = Failure(Kind.REFUSED, "its ELBO -1900.00 is below the bound -100.00")
DIVERGED = Failure(Kind.BAD_INPUT, "the loss is nan", remedy="Lower learning_rate")
UNKNOWN = Failure(Kind.BAD_INPUT, "the data set", value="nope", valid="a data set of TFDS", remedy="Check --dataset")
FULL = Failure(Kind.INFRASTRUCTURE, "no space is left on the disk")
TEXT = "Test-set ELBO -1852.21 nats per image\nPUSHED to /mnt/vaeiaf/pushed/7"


def message(failure):
    """What Argo says of a pod that left this failure. The code is that of Kubeflow's launcher."""
    return f"main: Error (exit code 1): {failure.to_json()}"


@pytest.mark.parametrize(
    ("state", "nodes", "code", "words"),
    [
        ("FAILED", {"image-example-gen": "SUCCEEDED", "trainer": "FAILED", "verdict": None}, 1, "FAILED in trainer."),
        ("FAILED", {"trainer": "FAILED", "verdict": "FAILED"}, 1, "FAILED in trainer, verdict."),
        ("FAILED", {**TRAINED, "verdict-driver": "FAILED"}, 1, "FAILED in verdict."),
        ("FAILED", {"trainer-driver": "FAILED"}, 1, "FAILED in trainer."),
        ("FAILED", {}, 1, "FAILED outside of its tasks."),
        ("CANCELED", {"trainer": "FAILED"}, 1, "TERMINATED in the UI or by the API, before the verdict."),
    ],
)
def test_an_end_without_a_message_is_a_failure_in_the_tasks_that_failed(kfp, vaeiaf, state, nodes, code, words):
    kfp.story = [RUNNING, (state, nodes)]
    got, out, err = vaeiaf("submit", "--wait")
    assert (got, err) == (code, "")
    assert words in out
    assert "#/runs/details/run-" in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("states", "messages", "code", "told"),
    [
        (REFUSED, {"verdict": [REFUSAL]}, 3, f"REFUSED by the gate: {REFUSAL}. "),
        ({"trainer": "SUCCEEDED", "push": "FAILED"}, {"push": [REFUSAL]}, 3, f"REFUSED by the gate: {REFUSAL}. "),
        ({"trainer": "FAILED"}, {"trainer": [DIVERGED]}, 2, f"trainer: {DIVERGED}\nFAILED in trainer. "),
        ({"trainer": "FAILED"}, {"trainer": ["pod deleted", DIVERGED]}, 2, f"trainer: {DIVERGED}\nFAILED in trainer. "),
        (
            {"push": "FAILED", "trainer": "FAILED"},
            {"push": [UNKNOWN], "trainer": [FULL]},
            2,
            f"push: {UNKNOWN}\ntrainer: ",
        ),
        ({"trainer": "FAILED"}, {"trainer": [FULL]}, 1, f"trainer: {FULL}\nFAILED in trainer. "),
        ({"trainer": "FAILED", "verdict": "FAILED"}, {"trainer": [FULL], "verdict": [REFUSAL]}, 1, "FAILED in trainer"),
        (REFUSED, {}, 1, f"verdict: {follow.SILENT}\nFAILED in verdict. "),
        (REFUSED, {"trainer": [REFUSAL]}, 1, f"verdict: {follow.SILENT}\nFAILED in verdict. "),
        (
            REFUSED,
            {"verdict": ["OOMKilled (exit code 137)"]},
            1,
            "verdict: OOMKilled (exit code 137)\nFAILED in verdict. ",
        ),
        (REFUSED, {"verdict": [REFUSAL, "pod deleted"]}, 1, "verdict: pod deleted\nFAILED in verdict. "),
        ({"trainer-driver": "FAILED"}, {"trainer-driver": ["no right"]}, 1, "trainer: no right\nFAILED in trainer. "),
    ],
)
def test_the_exit_code_and_the_sentence_are_those_of_the_failure(kfp, vaeiaf, states, messages, code, told):
    kfp.story = [RUNNING, ("FAILED", states)]
    kfp.messages = {
        task: [message(said) if isinstance(said, Failure) else said for said in of_task]
        for task, of_task in messages.items()
    }
    got, out, err = vaeiaf("submit", "--wait")
    assert (got, err) == (code, "")
    assert f"\n{told}" in out


@pytest.mark.parametrize("code", [1, 3])
def test_a_terminated_run_is_told_unless_the_gate_had_refused(kfp, vaeiaf, code):
    states = {"image-example-gen": "SUCCEEDED", "trainer": "FAILED"} if code == 1 else REFUSED
    stopped = Failure(Kind.STOPPED, "interrupted by SIGTERM", value="SIGTERM")
    kfp.messages = {"trainer": [message(stopped)]} if code == 1 else {"verdict": [message(REFUSAL)]}
    kfp.story = [TRAINING, ("CANCELING", TRAINING[1]), ("FAILED", states)]
    got, out, err = vaeiaf("submit", "--wait")
    assert (got, err) == (code, "")
    last = out.splitlines()[-1]
    assert last.startswith(
        "TERMINATED in the UI or by the API, before the verdict. #/" if code == 1 else "REFUSED by the gate: "
    )


@pytest.mark.parametrize(("archives", "keeps_pods"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("prefix", ["", "2026-01-01 03:00:00 "])
def test_a_success_says_what_became_of_the_model(kfp, vaeiaf, archives, keeps_pods, prefix):
    kfp.story = [RUNNING, PUSHED]
    kfp.archives, kfp.keeps_pods = archives, keeps_pods
    kfp.logs = {"verdict": f"Run run-1\n{prefix}{json.dumps({OUTCOME: TEXT})}\nlauncher: {{done}}\n"}
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (0, "")
    assert f"\n{TEXT}\n#/runs/details/run-" in out


def test_a_task_after_the_last_one_does_not_hide_the_outcome(kfp, vaeiaf):
    kfp.story = [RUNNING, ("SUCCEEDED", {**PUSHED[1], "notify": "SUCCEEDED"})]
    kfp.logs = {"verdict": json.dumps({OUTCOME: TEXT}), "notify": "sent\n[1, 2]\n{}\n"}
    assert f"\n{TEXT}\n" in vaeiaf("submit", "--wait")[1]


def test_a_success_whose_log_cannot_be_read_says_so(kfp, vaeiaf, clock):
    kfp.story = [RUNNING, PUSHED]
    kfp.archives = kfp.keeps_pods = False
    kfp.logs = {"verdict": json.dumps({OUTCOME: TEXT})}
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (0, "")
    assert f"\n{follow.UNTOLD}\n#/runs/details/run-" in out
    assert clock == [follow.POLL_SECONDS]
    assert len([path for _, path in kfp.requests if "/nodes/" in path]) == 2 * 3, "drivers say nothing of the model"


BAD_RECORDS = [
    Fault(404),
    Fault(503),
    Fault(200, b"<html>", "text/html"),
    Fault(200, b"[]"),
    Fault(200, b'{"run": {}}'),
    Fault(200, b'{"pipeline_runtime": {"workflow_manifest": ""}}'),
    Fault(200, b'{"pipeline_runtime": {"workflow_manifest": "{\\"status\\": {\\"nodes\\": [3]}}"}}'),
]


@pytest.mark.parametrize("fault", BAD_RECORDS)
@pytest.mark.parametrize("state", ["FAILED", "SUCCEEDED"])
def test_a_record_that_kubeflow_does_not_hand_out_is_no_error(kfp, vaeiaf, fault, state):
    kfp.story = [RUNNING, (state, {**TRAINED, "verdict": state})]
    kfp.messages = {"verdict": [message(REFUSAL)]} if state == "FAILED" else {}
    kfp.fault = lambda number, method, path: fault if path.startswith("/apis/v1beta1/") else None
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (1 if state == "FAILED" else 0, "")
    assert (f"\nverdict: {follow.WITHHELD}\n" if state == "FAILED" else f"\n{follow.UNTOLD}\n") in out


@pytest.mark.parametrize("data", [b'{"data": "?"}', b'{"data": 3}', b"[]", b"{}"])
def test_a_log_that_kubeflow_garbles_is_read_from_the_pod(kfp, vaeiaf, data):
    kfp.story = [RUNNING, PUSHED]
    kfp.logs = {"verdict": json.dumps({OUTCOME: TEXT}) + "\n"}
    kfp.fault = lambda number, method, path: Fault(200, data) if path.endswith(":read") else None
    assert f"\n{TEXT}\n" in vaeiaf("submit", "--wait")[1]


def test_of_a_graph_that_argo_retries_the_newest_tasks_are_told(kfp, vaeiaf):
    def task(name, state, minute):
        return {"display_name": name, "state": state, "start_time": f"2026-01-01T00:{minute:02}:00Z"}

    kfp.recorded = {
        "state": "SUCCEEDED",
        "nodes": [],
        "tasks": [
            task("trainer-driver", "SUCCEEDED", 0),
            task("trainer", "SUCCEEDED", 9),
            task("trainer", "FAILED", 1),
            task("verdict", "SUCCEEDED", 10),
        ],
    }
    code, out, _ = vaeiaf("submit", "--wait")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("trainer")] == [["trainer", "succeeded"]]


def recorded(name, failure=None):
    """What a real Kubeflow 2.17 answered about a run, with `failure` in place of the text that its pod left."""
    answer = json.loads((DATA / f"{name}.json").read_text())
    for node in answer["nodes"]:
        if failure and node.get("message", "").startswith("main: "):
            node["message"] = message(failure)
    return answer


def states(kfp):
    """The states of our tasks in the recorded run."""
    return {task["display_name"]: task.get("state") for task in kfp.recorded["tasks"] if task["display_name"] in NODES}


def test_a_real_refusal_is_one(kfp, vaeiaf):
    kfp.recorded = recorded("refused", REFUSAL)
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (3, "")
    assert f"REFUSED by the gate: {REFUSAL}. #/runs" in out
    assert states(kfp) == {"image-example-gen": "SUCCEEDED", "trainer": "SUCCEEDED", "verdict": "FAILED"}


def test_real_bad_input_is_told_with_the_task_and_its_sentence(kfp, vaeiaf):
    kfp.recorded = recorded("bad-data-set", UNKNOWN)
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (2, "")
    assert f"\nimage-example-gen: {UNKNOWN}\nFAILED in image-example-gen. #/runs" in out


def test_a_real_message_that_is_no_failure_of_ours_is_told_as_argo_wrote_it(kfp, vaeiaf):
    kfp.recorded = recorded("bad-data-set")
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (1, "")
    assert "\nimage-example-gen: main: Error (exit code 1): unknown data set 'nope_nope'" in out


@pytest.mark.parametrize("archives", [True, False])
def test_a_real_run_that_lost_a_pod_is_told_task_by_task_and_with_its_outcome(kfp, vaeiaf, archives):
    kfp.recorded = recorded("pushed-after-deleted-pod")
    kfp.archives, kfp.logs = archives, {"verdict": json.dumps({OUTCOME: TEXT})}
    code, out, _ = vaeiaf("submit", "--wait")
    assert code == 0
    assert [line.split() for line in out.splitlines() if line.startswith(NODES)] == [
        ["image-example-gen", "succeeded", "173", "s"],
        ["trainer", "succeeded", "813", "s"],
        ["verdict", "succeeded", "85", "s"],
    ]
    assert f"\n{TEXT}\n#/runs/details/run-" in out


def test_by_task_the_failures_of_a_real_run_are_those_of_its_last_pods(kfp, api):
    kfp.runs["run"] = {"run_id": "run"}
    kfp.recorded = recorded("pushed-after-deleted-pod")
    assert failures(pods(api, "run")) == {"trainer": Failure(Kind.INFRASTRUCTURE, "pod deleted")}
    kfp.recorded = recorded("refused", REFUSAL)
    assert failures(pods(api, "run")) == {"verdict": REFUSAL}
    kfp.recorded = recorded("bad-data-set", UNKNOWN)
    assert failures(pods(api, "run")) == {"image-example-gen": UNKNOWN}


def test_a_real_pod_has_the_name_of_its_workflow_its_template_and_its_node(kfp, api):
    kfp.runs["run"] = {"run_id": "run"}
    kfp.recorded = recorded("refused")
    assert pods(api, "run")[-1] == Pod(
        task="verdict",
        node="vaeiaf-run-2756077033",
        name="vaeiaf-run-metadata-1-0-system-container-impl-2756077033",
        phase="Failed",
        message=next(node["message"] for node in kfp.recorded["nodes"] if node["id"] == "vaeiaf-run-2756077033"),
    )


def test_an_api_that_is_away_for_a_while_is_waited_for_with_longer_and_longer_pauses(kfp, vaeiaf, clock):
    kfp.story = [RUNNING, ("SUCCEEDED", {**TRAINED, "verdict": "SUCCEEDED"})]
    looks = []
    faults = [None, Fault(503), Fault(500, b"<html>", "text/html"), Fault(429)]

    def fault(number, method, path):
        if "/runs/run-" not in path:
            return None
        looks.append(path)
        return dict(enumerate(faults, 1)).get(len(looks))

    kfp.fault = fault
    assert vaeiaf("submit", "--wait")[0] == 0
    assert clock == [follow.POLL_SECONDS, 1, 2, 4]


@pytest.mark.parametrize(("status", "patient"), [(503, True), (401, False)])
def test_an_api_that_stays_away_is_given_up_but_not_the_run(kfp, refused, clock, status, patient):
    kfp.fault = lambda number, method, path: Fault(status) if "/runs/run-" in path else None
    error = refused("submit", "--wait")
    assert (error.exit_code, error.status) == (1, status)
    (run,) = kfp.runs
    assert error.failure.remedy.endswith(f". The run itself continues: #/runs/details/{run}")
    assert sum(clock) >= follow.PATIENCE if patient else clock == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_following_and_not_the_run(kfp, vaeiaf, monkeypatch, number):
    kfp.story = [RUNNING]
    clock = types.SimpleNamespace(sleep=lambda _: os.kill(os.getpid(), number))
    monkeypatch.setattr("kubeflow.client.follow.time", clock)
    code, out, err = vaeiaf("submit", "--wait")
    assert code == 128 + number
    assert "No longer followed; the run continues: #/runs/details/run-" in out
    assert err == f"vaeiaf: interrupted by {number.name}\n"
    assert not any(path.endswith(":terminate") for _, path in kfp.requests)
