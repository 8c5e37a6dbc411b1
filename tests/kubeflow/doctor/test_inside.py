"""The program of the doctor's pod: the volume and the database as a run uses them."""

import json

import pytest

from kubeflow.doctor import inside
from kubeflow.spec.cluster import Cluster
from pipeline.doctor.finding import State
from trainer.workers.launch import ERROR_FILE


@pytest.fixture
def cluster(tmp_path):
    path = tmp_path / "volume"
    path.mkdir()
    database = {"kind": "sqlite", "wait_seconds": 0}
    return Cluster(image="vaeiaf:1", namespace="team", volume={"claim": "c", "path": str(path)}, database=database)


def test_the_findings_are_left_where_kubernetes_shows_them(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "message"))
    monkeypatch.setenv("VAEIAF_REVISION", "v1")
    assert inside.main([json.dumps(cluster.to_dict())]) == 0
    left = json.loads((tmp_path / "message").read_text())
    assert left["revision"] == "v1"
    assert [finding[:2] for finding in left["findings"]] == [["volume", "ok"], ["database", "ok"]]


def test_nothing_stays_on_the_volume(cluster, tmp_path):
    assert inside.volume(cluster).state == State.OK
    assert not list((tmp_path / "volume").iterdir())


def test_a_volume_that_cannot_be_written_is_told_with_its_user(cluster, tmp_path):
    (tmp_path / "volume").rmdir()
    finding = inside.volume(cluster)
    assert finding.state == State.WRONG
    assert cluster.volume.path in finding.sentence
    assert "group 0" in finding.remedy


def test_a_database_that_does_not_answer_is_told(cluster, monkeypatch):
    monkeypatch.setenv("MLMD_PASSWORD", "word")
    settings = {"host": "127.0.0.1", "port": 1, "wait_seconds": 0}
    finding = inside.database(Cluster(**{**cluster.to_dict(), "database": settings}))
    assert finding.state == State.WRONG
    assert "127.0.0.1:1" in finding.sentence
    assert finding.remedy
