"""`vaeiaf doctor`: a line for each finding, and the exit code."""

import json

import pytest
from kube_world import api_client

from kubeflow.workers import kube_api
from trainer.errors import UserError


@pytest.fixture
def doctor(hospital, vaeiaf, monkeypatch):
    monkeypatch.setattr(kube_api, "connect", lambda: api_client(hospital.kube.url))
    monkeypatch.setattr("kubeflow.doctor.kube.Clock", lambda: hospital.kube.state.clock)
    return lambda *options: vaeiaf("doctor", "--ui", hospital.api.ui, *options)


def test_a_line_for_each_finding_and_exit_code_0_if_none_is_wrong(doctor):
    code, out, err = doctor()
    assert (code, err) == (0, "")
    *lines, last = out.splitlines()
    assert [line.split(":")[0].split() for line in lines[:2]] == [["ok", "kubernetes"], ["ok", "kubeflow"]]
    assert last == f"{len(lines)} findings: 0 wrong, 0 not checked."
    findings = json.loads(doctor("--json")[1])
    assert [finding["check"] for finding in findings] == [line.split()[1].rstrip(":") for line in lines]
    assert {finding["state"] for finding in findings} == {"ok"}


def test_what_cannot_be_checked_is_no_fault(doctor, hospital):
    hospital.kube.forbidden.add(("get", "configmaps"))
    code, out, _ = doctor()
    assert (code, out.splitlines()[-1]) == (0, "10 findings: 0 wrong, 1 not checked.")


def test_a_fault_is_exit_code_1_and_one_line_with_its_remedy(doctor, hospital):
    hospital.kube.admit = lambda pod: "exceeded quota:\nsmall"
    code, out, _ = doctor()
    assert code == 1
    (line, *_) = [line for line in out.splitlines() if line.startswith("WRONG    quota: ")]
    assert line.endswith(
        "a pod as in pod is not admitted: exceeded quota: small. Change pod in cluster.yaml, or have the quota or the "
        "policy of team changed"
    )


def test_no_cluster_is_exit_code_2(vaeiaf, monkeypatch):
    def connect():
        raise UserError("this process finds no Kubernetes cluster")

    monkeypatch.setattr(kube_api, "connect", connect)
    code, out, err = vaeiaf("doctor")
    assert (code, out) == (2, "")
    assert "no Kubernetes cluster" in err
