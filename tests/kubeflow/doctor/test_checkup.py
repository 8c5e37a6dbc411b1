"""The doctor finds nothing wrong with a sound cluster, and exactly what is wrong with any other."""

import dataclasses
import os
import signal

import pytest
from doctor.conftest import ON_ERROR, WELL, claim, leaves
from kfp_emulator import Fault

from kubeflow.doctor import rights
from kubeflow.doctor.pod import HOPELESS_SECONDS, PLACE_SECONDS, TOTAL_SECONDS
from kubeflow.doctor.retries import CONFIG, policy_of
from kubeflow.spec.cluster import Database, PodSettings, Retries
from pipeline.doctor.finding import State
from trainer.errors import InterruptError
from trainer.interrupt import interruptible


def states(found):
    return {check: finding.state for check, finding in found.items() if finding.state != State.OK}


def test_nothing_is_wrong_with_a_sound_cluster(hospital):
    found = hospital.examine()
    assert list(found) == [
        *("kubernetes", "kubeflow", "ui", "rights", "retries", "quota"),
        *("image", "volume", "database", "claim"),
    ]
    assert states(found) == {}
    assert "revision v1" in found["image"].sentence
    assert (found["volume"].sentence, found["database"].sentence) == ("it is writable", "it answers")


def test_the_pod_is_as_a_run_s_with_the_password_and_ends_by_itself(hospital):
    workers = dataclasses.replace(hospital.cluster.workers, queue="team")
    pod = PodSettings(cpu="3", memory="5Gi")
    hospital.cluster = dataclasses.replace(hospital.cluster, pod=pod, workers=workers)
    hospital.examine()
    (job,) = hospital.kube.state.created["Job"]
    assert "suspend" not in job["spec"], "it waits in no queue"
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert (container["image"], container["resources"]["requests"]["cpu"]) == ("vaeiaf:1", "3")
    assert container["command"][:4] == ["python", "-P", "-m", "kubeflow.doctor.inside"]
    (password,) = [entry["valueFrom"] for entry in container["env"] if entry["name"] == "MLMD_PASSWORD"]
    assert password == {"secretKeyRef": {"name": "vaeiaf-mlmd", "key": "password"}}
    assert spec["serviceAccountName"] == "default-editor"
    assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "vaeiaf"}
    assert job["spec"]["activeDeadlineSeconds"] > TOTAL_SECONDS
    assert job["spec"]["ttlSecondsAfterFinished"] > 0


def sqlite(hospital):
    hospital.cluster = dataclasses.replace(hospital.cluster, database=Database(kind="sqlite"))


def test_a_database_without_a_server_needs_no_password(hospital):
    sqlite(hospital)
    hospital.examine()
    (job,) = hospital.kube.state.created["Job"]
    names = {entry["name"] for entry in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert "MLMD_PASSWORD" not in names


def account(hospital, name):
    hospital.cluster = dataclasses.replace(hospital.cluster, service_account=name)


def tasks(hospital, **pods):
    hospital.cluster = dataclasses.replace(hospital.cluster, tasks=pods)


def runs(script):
    return lambda hospital: setattr(hospital, "script", script)


def hangs(run):
    run.running()
    run.stopping.wait(30)


@pytest.mark.parametrize(
    ("harm", "check", "words"),
    [
        (lambda h: h.kube.version.update(minor="24"), "kubernetes", "1.24"),
        (lambda h: account(h, "vaeiaf"), "rights", "has no service account vaeiaf"),
        (lambda h: h.kube.denied.add(("list", "events")), "rights", "default-editor may not list events"),
        (lambda h: h.kube.denied.add(("get", "pods/log")), "rights", "may not get pods/log"),
        (lambda h: h.put("ConfigMap", CONFIG, metadata={"namespace": "kubeflow"}, data={}), "retries", "OnFailure"),
        (lambda h: h.put("PersistentVolumeClaim", "vaeiaf", **claim(["ReadWriteOnce"])), "claim", "ReadWriteOnce"),
        (lambda h: h.put("PersistentVolumeClaim", "vaeiaf", **claim(phase="Pending")), "claim", "is Pending"),
        (lambda h: setattr(h.kube, "admit", lambda pod: "exceeded quota: small"), "quota", "exceeded quota: small"),
        (runs(leaves("ModuleNotFoundError: no kubeflow.doctor", 1)), "image", "exit code 1: ModuleNotFoundError"),
        (runs(lambda run: run.waiting("ErrImagePull", "no such image")), "image", "ErrImagePull: no such image"),
        (runs(lambda run: run.unschedulable("0/3 nodes")), "image", "no machine: Unschedulable: 0/3 nodes"),
        (runs(hangs), "image", "has not ended"),
        (
            runs(leaves({**WELL, "findings": [["volume", "WRONG", "cannot be written", "Give it to group 0"]]})),
            "volume",
            "cannot be written",
        ),
    ],
)
def test_each_fault_is_found_with_a_remedy_and_no_other(hospital, harm, check, words):
    harm(hospital)
    found = hospital.examine()
    assert states(found) == {check: State.WRONG}
    assert words in found[check].sentence
    assert found[check].remedy


def test_the_pod_gives_a_registry_and_an_autoscaler_their_time(hospital):
    """Each wait is as long as it says, on the cluster's clock."""
    for script, seconds in [
        (lambda run: run.waiting("ErrImagePull", "no such image"), HOPELESS_SECONDS),
        (lambda run: run.unschedulable("0/3 nodes"), PLACE_SECONDS),
    ]:
        hospital.script, before = script, hospital.kube.state.clock.time()
        hospital.examine()
        assert seconds <= hospital.kube.state.clock.time() - before < seconds + 30


def test_each_kind_of_pod_is_asked_for_and_nothing_is_created(hospital):
    asked = []
    hospital.kube.admit = lambda pod: asked.append(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"]) or ""
    tasks(hospital, train=PodSettings(cpu="7"))
    hospital.examine()
    assert asked == [hospital.cluster.pod.cpu, "7", hospital.cluster.workers.pod.cpu]
    assert len(hospital.kube.state.created["Pod"]) == 1, "the one that ran"


def test_the_quota_s_use_is_told(hospital):
    status = {"hard": {"requests.cpu": "8", "pods": "10"}, "used": {"requests.cpu": "3"}}
    hospital.put("ResourceQuota", "small", status=status)
    assert "pods 0 of 10, requests.cpu 3 of 8" in hospital.examine()["quota"].sentence


@pytest.mark.parametrize(
    ("right", "check"),
    [
        (("create", "localsubjectaccessreviews"), "rights"),
        (("get", "configmaps"), "retries"),
        (("create", "jobs"), "image, volume, database"),
        (("get", "persistentvolumeclaims"), "claim"),
        (("list", "resourcequotas"), "quota"),
    ],
)
def test_a_check_for_which_the_asking_account_has_no_right_is_said_and_the_others_go_on(hospital, right, check):
    hospital.kube.forbidden.add(right)
    found = hospital.examine()
    assert found[check].state == State.UNKNOWN
    assert right[1] in found[check].sentence
    assert list(found)[-1] == "claim"
    assert State.WRONG not in states(found).values()


def test_without_a_claim_no_pod_is_started(hospital):
    hospital.kube.state.delete("PersistentVolumeClaim", "vaeiaf")
    found = hospital.examine()
    assert states(found) == {
        **dict.fromkeys(("image", "volume", "database"), State.UNKNOWN),
        "claim": State.WRONG,
    }
    assert not hospital.kube.state.created["Job"]


def test_a_job_for_which_no_pod_is_created_is_told_with_the_reason(hospital):
    def made(job):
        event = {"kind": "Event", "metadata": {"name": "event"}, "message": "exceeded quota"}
        hospital.kube.state.create("Event", event | {"involvedObject": {"uid": job["metadata"]["uid"]}})

    hospital.kube.state.start_pods = made
    assert "exceeded quota" in hospital.examine()["image"].sentence


def test_a_signal_ends_the_checks_and_removes_the_pod(hospital):
    def interrupted(run):
        os.kill(os.getpid(), signal.SIGTERM)
        hangs(run)

    hospital.script = interrupted
    with interruptible(), pytest.raises(InterruptError):
        hospital.examine()
    assert hospital.kube.state.created["Job"], "which the fixture misses if it stays"


def test_without_retries_their_policy_does_not_matter(hospital):
    hospital.cluster = dataclasses.replace(hospital.cluster, retries=Retries(count=0))
    hospital.kube.state.delete("ConfigMap", CONFIG)
    assert hospital.examine()["retries"].state == State.OK


def test_an_unknown_policy_is_no_fault(hospital):
    hospital.kube.state.delete("ConfigMap", CONFIG)
    assert hospital.examine()["retries"].state == State.UNKNOWN


@pytest.mark.parametrize(
    ("data", "policy"),
    [
        ({"workflowDefaults": ON_ERROR}, "OnError"),
        ({"config": f"workflowDefaults: {{{ON_ERROR}}}"}, "OnError"),
        ({"workflowDefaults": ON_ERROR.replace("OnError", "Always")}, "Always"),
        ({"workflowDefaults": "spec: {templateDefaults: {retryStrategy: {limit: 2}}}"}, "OnFailure"),
        ({"workflowDefaults": ""}, "OnFailure"),
        ({}, "OnFailure"),
    ],
)
def test_the_policy_is_read_from_argo_s_settings(data, policy):
    assert policy_of(data) == policy


@pytest.mark.parametrize(
    ("health", "state"),
    [
        ({"tag_name": "2.17.0"}, State.OK),
        ({"tag_name": "v2.16.1"}, State.OK),
        ({"tag_name": "2.18.0"}, State.OK),
        ({"tag_name": "2.13.0"}, State.WRONG),
        ({}, State.OK),
    ],
)
def test_kubeflow_s_version_is_told(hospital, kfp, health, state):
    kfp.health = health
    finding = hospital.examine()["kubeflow"]
    assert finding.state == state
    assert health.get("tag_name", "not told") in finding.sentence


def test_a_server_that_refuses_the_login_is_told_with_the_remedy(hospital, kfp):
    kfp.fault = lambda *_: Fault(401)
    finding = hospital.examine()["kubeflow"]
    assert (finding.state, "--token-file" in finding.remedy) == (State.WRONG, True)


@pytest.mark.parametrize(
    ("status", "kind", "state"),
    [
        (200, "text/html", State.OK),
        (302, "text/html", State.OK),
        (403, "text/plain", State.OK),
        (404, "application/json", State.WRONG),
        (200, "application/json", State.WRONG),
        (503, "text/html", State.WRONG),
    ],
)
def test_the_address_of_the_ui_leads_to_a_page_or_to_a_login(hospital, page, status, kind, state):
    page.status, page.kind = status, kind
    assert hospital.examine()["ui"].state == state


def test_the_api_s_address_is_not_the_ui_s(hospital, kfp):
    hospital.api.ui = kfp.host
    finding = hospital.examine()["ui"]
    assert (finding.state, "port-forward" in finding.remedy) == (State.WRONG, True)


@pytest.mark.parametrize(("address", "state"), [("", State.UNKNOWN), ("http://127.0.0.1:1", State.WRONG)])
def test_an_address_that_is_missing_or_dead_is_told(hospital, address, state):
    hospital.api.ui = address
    assert hospital.examine()["ui"].state == state


def test_without_manifests_no_right_is_called_sound(hospital, monkeypatch, tmp_path):
    monkeypatch.setattr(rights, "MANIFESTS", tmp_path)
    assert hospital.examine()["rights"].state == State.UNKNOWN


def test_the_rights_are_those_of_the_manifests():
    names = {str(right) for right in rights.declared()}
    assert {"create jobs", "get pods/log", "get secrets/mlpipeline-minio-artifact"} <= names
    assert {right.role for right in rights.declared()} == {"vaeiaf-launcher", "vaeiaf-run"}
