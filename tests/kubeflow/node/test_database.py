import dataclasses

import pytest

from kubeflow.node.database import lineage
from kubeflow.spec.cluster import Database
from pipeline.state.database import DatabaseError
from trainer.errors import UserError

NOWHERE = Database(host="127.0.0.1", port=9, wait_seconds=0)


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
    with pytest.raises(DatabaseError) as error:
        lineage(NOWHERE, "/").__enter__()
    assert "127.0.0.1:9" in str(error.value)
    assert "a secret word" not in error.value.failure.to_json()


def test_a_server_that_refuses_brings_the_secret_to_mind(password, full_server):
    with pytest.raises(DatabaseError) as error:
        lineage(dataclasses.replace(NOWHERE, port=full_server), "/").__enter__()
    assert (
        "the password in the secret vaeiaf-mlmd, the rights of the user vaeiaf, and that it is IDENTIFIED WITH "
        "mysql_native_password"
    ) in str(error.value)


def test_without_a_password_the_secret_is_named(monkeypatch):
    monkeypatch.delenv("MLMD_PASSWORD", raising=False)
    with pytest.raises(UserError) as error:
        lineage(Database(), "/")
    assert error.value.failure.value == "MLMD_PASSWORD"
    assert str(error.value) == (
        "MLMD_PASSWORD is not in the environment: the password of the database, from the secret vaeiaf-mlmd"
    )
