"""The store of ML Metadata while its database goes away, is locked, refuses, or says nothing."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types

import pytest
from databases import MariaDB, full_server
from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.state import database
from pipeline.state.database import DatabaseError, sqlite_connection
from pipeline.state.metadata import Metadata
from trainer.errors import InterruptError
from trainer.interrupt import interruptible

HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(f"BEGIN {sys.argv[2]}")
print("held", flush=True)
time.sleep(float(sys.argv[3]))
"""


@pytest.fixture
def lineage(tmp_path):
    """Its tables are there."""
    found = Metadata(sqlite_connection(str(tmp_path / "metadata.sqlite")), str(tmp_path), 60.0)
    with found as handle:
        handle.store.put_artifact_type(mlmd.ArtifactType(name="A"))
    return found


@pytest.fixture
def hold(lineage, tmp_path):
    """Has another process lock the file."""
    held = []

    def start(kind, seconds=60.0):
        command = [sys.executable, "-c", HOLD, str(tmp_path / "metadata.sqlite"), kind, str(seconds)]
        held.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        held[-1].stdout.readline()

    yield start
    for process in held:
        process.kill()
        process.communicate()


def server(port, seconds=0.0):
    connection = mlmd.ConnectionConfig(
        mysql=mlmd.MySQLDatabaseConfig(host="127.0.0.1", port=port, database="d", user="u", password="secret word")
    )
    return Metadata(connection, "/", seconds, "the password")


def names(found):
    with found as handle:
        return [kind.name for kind in handle.store.get_artifact_types()]


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_locked_file_is_waited_for_and_a_line_says_so(lineage, hold, kind, caplog):
    caplog.set_level(logging.INFO, "pipeline.state.database")
    with lineage as handle:
        hold(kind, seconds=0.5)
        handle.store.put_artifact_type(mlmd.ArtifactType(name="B"))
    assert names(lineage) == ["A", "B"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith("metadata.sqlite is locked by another process; waiting up to 60 s")


def test_a_file_that_stays_locked_is_named_as_locked(lineage, hold, monkeypatch):
    hold("EXCLUSIVE")
    monkeypatch.setattr(lineage._database, "_away_seconds", 0.3)
    with pytest.raises(DatabaseError, match=r"metadata\.sqlite is locked by another process; waited") as error:
        names(lineage)
    assert error.value.exit_code == 1
    assert lineage.failure is error.value
    spent = types.SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: pytest.fail("the patience was spent"))
    monkeypatch.setattr(database, "time", spent)
    with pytest.raises(DatabaseError):  # what follows is tried once
        names(lineage)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_wait_and_no_other_wait_begins(lineage, hold, number):
    hold("EXCLUSIVE")
    threading.Timer(0.3, os.kill, [os.getpid(), number]).start()
    start = time.monotonic()
    with interruptible():
        with pytest.raises(InterruptError):
            names(lineage)
        with pytest.raises(DatabaseError):  # as TFX does, to record that the node failed
            names(lineage)
    assert time.monotonic() - start < 20.0, "of the 60 that it would wait"


def test_a_folder_that_comes_late_is_waited_for(tmp_path):
    folder = tmp_path / "late"
    threading.Timer(0.3, folder.mkdir).start()
    assert names(Metadata(sqlite_connection(str(folder / "metadata.sqlite")), str(folder), 60.0)) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = str(tmp_path / "nothing/metadata.sqlite")
    with pytest.raises(DatabaseError) as error:
        names(Metadata(sqlite_connection(path), str(tmp_path), 0.0))
    assert path in error.value.failure.value


def test_a_damaged_file_is_not_waited_for(lineage, tmp_path):
    (tmp_path / "metadata.sqlite").write_bytes(b"not a database" * 100)
    start = time.monotonic()
    with pytest.raises(DatabaseError) as error:
        names(lineage)
    assert "file is not a database" in error.value.failure.cause
    assert time.monotonic() - start < 20.0


def test_an_execution_that_is_gone_is_damage(lineage):
    with lineage as handle, pytest.raises(DatabaseError) as error:
        handle.store.get_executions_by_id([7])
    assert error.value.failure.cause.startswith("execution 7")
    assert lineage.failure is not None


def test_an_answer_is_handed_on_and_nothing_is_waited_for(lineage):
    with lineage as handle, pytest.raises(errors.NotFoundError):
        handle.store.put_artifacts([mlmd.Artifact(type_id=99)])
    assert lineage.failure is None


def test_a_server_that_is_not_there_is_named_without_the_password():
    with pytest.raises(DatabaseError) as error:
        names(server(9))
    assert error.value.failure.value == "the database d on 127.0.0.1:9"
    assert "secret word" not in error.value.failure.to_json()


def test_a_server_that_refuses_is_told_from_one_that_is_not_there():
    with full_server() as port, pytest.raises(DatabaseError) as error:
        names(server(port))
    assert "refuses connections: check the password" in error.value.failure.sentence
    assert "Too many connections" not in error.value.failure.sentence, "which ML Metadata hides"


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(database, "GREETING_SECONDS", 0.2)
    found = server(9)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = server(silent.getsockname()[1])
        with pytest.raises(DatabaseError) as error:
            names(found)
    assert "does not answer (timed out)" in error.value.failure.sentence


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory):
    if not MariaDB.is_installed():
        pytest.skip("LEFT OUT: no MariaDB here (Debian: apt-get install mariadb-server)")
    server = MariaDB(tmp_path_factory.mktemp("mariadb"))
    yield server
    server.kill()


@pytest.mark.slow
def test_a_server_may_be_killed_between_two_calls_and_before_a_connection(mariadb, caplog):
    caplog.set_level(logging.INFO, "pipeline.state.database")
    found = Metadata(mariadb.connection, "/state", 60.0)
    with found as handle:
        kind = handle.store.put_artifact_type(mlmd.ArtifactType(name="A"))
        mariadb.kill()
        threading.Timer(1.0, mariadb.start).start()
        handle.store.put_artifacts([mlmd.Artifact(type_id=kind, uri="/state/artifacts/1", name="one")])
    mariadb.kill()
    threading.Timer(1.0, mariadb.start).start()
    with found as handle:
        (artifact,) = handle.store.get_artifacts()
    assert artifact.uri == "/state/artifacts/1"
    waits = [record.getMessage() for record in caplog.records if record.name == "pipeline.state.database"]
    assert len(waits) == 2
    assert all("does not answer" in line and "waiting up to 60 s" in line for line in waits)


@pytest.mark.slow
def test_a_signal_ends_the_wait_for_a_server(mariadb):
    found = Metadata(mariadb.connection, "/", 60.0)
    names(found)
    mariadb.kill()
    try:
        threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGTERM]).start()
        start = time.monotonic()
        with interruptible(), pytest.raises(InterruptError):
            names(found)
        assert time.monotonic() - start < 20.0, "of the 60 that it would wait"
    finally:
        mariadb.start()
