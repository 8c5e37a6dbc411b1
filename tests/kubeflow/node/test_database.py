import dataclasses

import pytest

from kubeflow.node.database import lineage
from kubeflow.spec.cluster import Database
from pipeline.state.database import DatabaseError
from trainer.errors import UserError

HERE = Database(host="127.0.0.1", port=9, wait_seconds=0)


@pytest.fixture
def password(monkeypatch):
    monkeypatch.setenv("MLMD_PASSWORD", "a secret word")


def test_a_file_on_the_volume_is_made(tmp_path):
    with lineage(Database(kind="sqlite", wait_seconds=0), str(tmp_path)) as handle:
        assert handle.store.get_artifacts() == []
    assert (tmp_path / "metadata.sqlite").exists()


def test_a_server_gets_what_the_cluster_says_and_the_password_of_the_secret(password):
    database = Database(host="db", port=7, name="lineage", user="me")
    config = lineage(database, "/").connection_config.mysql
    assert (config.host, config.port, config.database, config.user) == ("db", 7, "lineage", "me")
    assert config.password == "a secret word"


def test_a_server_that_is_not_there_is_named_without_the_password(password):
    with pytest.raises(DatabaseError, match=r"the database vaeiaf on 127\.0\.0\.1:9 does not answer") as error:
        lineage(HERE, "/").__enter__()
    assert "a secret word" not in str(error.value)


def test_a_server_that_refuses_brings_the_secret_to_mind(password, full_server):
    with pytest.raises(DatabaseError, match="answers and refuses: check the password in the secret vaeiaf-mlmd"):
        lineage(dataclasses.replace(HERE, port=full_server), "/").__enter__()


def test_without_a_password_the_secret_is_named(monkeypatch):
    monkeypatch.delenv("MLMD_PASSWORD", raising=False)
    with pytest.raises(UserError, match="expected the database's password in MLMD_PASSWORD, from the secret vaeiaf-m"):
        lineage(Database(), "/")
