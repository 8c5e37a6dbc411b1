import dataclasses
import socket
import subprocess
import sys
import threading

import pytest
from ml_metadata.metadata_store import MetadataStore

from kubeflow.cluster import Database
from kubeflow.database import DatabaseError, connection, wait_for
from trainer.errors import UserError

HERE = Database(host="127.0.0.1", wait_seconds=0)


@pytest.fixture
def password(monkeypatch):
    monkeypatch.setenv("MLMD_PASSWORD", "a secret word")


@pytest.fixture
def full():
    """The port of a MySQL server that has too many connections. A process: ML Metadata lets no other thread run."""
    code = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    peer = server.accept()[0]
    peer.sendall(bytes([23, 0, 0, 0, 255, 16, 4]) + b"Too many connections")
    peer.close()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline())
        process.kill()


def test_the_first_to_come_makes_the_tables(tmp_path):
    sqlite = Database(kind="sqlite", wait_seconds=0)
    config = connection(sqlite, str(tmp_path))
    wait_for(sqlite, config)
    assert (tmp_path / "metadata.sqlite").exists()
    assert MetadataStore(config).get_artifacts() == []


def test_a_server_gets_what_the_cluster_says_and_the_password_of_the_secret(password):
    config = connection(Database(host="db", port=7, name="lineage", user="me"), "/").mysql
    assert (config.host, config.port, config.database, config.user) == ("db", 7, "lineage", "me")
    assert config.password == "a secret word"


def test_a_server_that_is_not_there_is_named(password):
    database = dataclasses.replace(HERE, port=9)
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:9 does not answer") as error:
        wait_for(database, connection(database, "/"))
    assert "a secret word" not in str(error.value)
    assert error.value.exit_code == 1


def test_a_server_that_refuses_is_told_from_one_that_is_not_there(password, full):
    database = dataclasses.replace(HERE, port=full)
    with pytest.raises(DatabaseError, match="answers, but refuses the user vaeiaf or the database vaeiaf"):
        wait_for(database, connection(database, "/"))


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(password, monkeypatch):
    monkeypatch.setattr("kubeflow.database.GREETING_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = dataclasses.replace(HERE, port=silent.getsockname()[1])
        with pytest.raises(DatabaseError, match=r"does not answer \(timed out\)"):
            wait_for(database, connection(database, "/"))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    sqlite = Database(kind="sqlite", wait_seconds=0)
    with pytest.raises(DatabaseError, match="see whether its folder is there and can be written"):
        wait_for(sqlite, connection(sqlite, str(tmp_path / "nothing")))


def test_a_database_that_comes_up_late_is_waited_for(tmp_path):
    folder = tmp_path / "late"
    threading.Timer(0.5, folder.mkdir).start()
    sqlite = Database(kind="sqlite", wait_seconds=60)
    wait_for(sqlite, connection(sqlite, str(folder)))
    assert (folder / "metadata.sqlite").exists()


def test_without_a_password_the_secret_is_named(monkeypatch):
    monkeypatch.delenv("MLMD_PASSWORD", raising=False)
    with pytest.raises(UserError, match="expected the database's password in MLMD_PASSWORD, from the secret vaeiaf-m"):
        connection(Database(), "/")
