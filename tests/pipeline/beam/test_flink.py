"""Flink's REST API, with the answers that Flink 1.20.5 gives."""

import http.server
import json
import socket
import threading
import time

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.version import __version__ as BEAM_VERSION  # noqa: N812

from pipeline.beam import flink as room
from pipeline.beam.engine import EngineError, cancel_jobs
from pipeline.beam.flink import Flink, starts_flink
from trainer.errors import UserError
from trainer.failure import Kind

JAR = f"beam-runners-flink-1.20-job-server-{BEAM_VERSION}.jar"


class Server(http.server.BaseHTTPRequestHandler):
    """A JobManager whose state is in class attributes."""

    version, free, total, jobs, cancelled = "1.20.5", 2, 2, [], []

    def do_GET(self):
        answers = {
            "/v1/config": {"flink-version": self.version, "flink-revision": "0980485"},
            "/v1/overview": {"taskmanagers": 1, "slots-total": self.total, "slots-available": self.free},
            "/v1/jobs/overview": {"jobs": self.jobs},
        }
        self.answer(200 if self.path in answers else 404, answers.get(self.path, {"errors": ["Not found."]}))

    def do_PATCH(self):
        job, _, mode = self.path.removeprefix("/v1/jobs/").partition("?")
        assert mode == "mode=cancel"
        self.cancelled.append(job)
        for found in self.jobs:
            if found["jid"] == job:
                found["state"] = "CANCELED"
        self.answer(202, {})

    def answer(self, status, content):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    cls = type("Running", (Server,), {"jobs": [], "cancelled": []})
    with http.server.ThreadingHTTPServer(("localhost", 0), cls) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        cls.address = f"localhost:{running.server_port}"
        yield cls
        running.shutdown()


@pytest.fixture
def jar(tmp_path):
    (tmp_path / JAR).touch()
    return str(tmp_path / JAR)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(room, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(room, "SLOT_SECONDS", 0.2)
    monkeypatch.setattr(room, "POLL_SECONDS", 0.05)


def flink(address, jar, *more):
    uber = ["--flink_submit_uber_jar"] if "--server" not in more else []
    arguments = [f"--flink_master={address}", *([f"--flink_job_server_jar={jar}"] if jar else []), *uber]
    return Flink(PipelineOptions([*arguments, *(argument for argument in more if argument != "--server")]))


def test_a_cluster_with_a_jar_and_free_slots_passes(server, jar):
    flink(server.address, jar).check()
    flink(f"http://{server.address}/", jar, "--parallelism=2").check()
    flink(server.address, "https://example.com/any.jar").check()


@pytest.mark.parametrize("given", [None, "/nowhere/any.jar"])
def test_without_a_jar_nothing_is_sent_and_the_coordinates_are_named(server, given):
    with pytest.raises(UserError) as error:
        flink(server.address, given).check()
    assert error.value.failure.value == given
    assert f"org.apache.beam:beam-runners-flink-1.20-job-server:{BEAM_VERSION}" in error.value.failure.remedy


def test_a_job_server_needs_java(server, jar):
    with pytest.raises(UserError) as error:
        flink(server.address, jar, "--server", "--job_server_java_launcher=no-such-java").check()
    assert error.value.failure.value == "no-such-java"


def test_a_flink_that_beam_has_no_job_server_for_is_refused(server, jar):
    server.version = "1.18.1"
    with pytest.raises(UserError) as error:
        flink(server.address, jar).check()
    assert error.value.failure.value == "1.18"


@pytest.mark.parametrize("name", ["beam-runners-flink-1.19-job-server-2.77.0.jar", JAR.replace(BEAM_VERSION, "2.76.0")])
def test_a_jar_of_another_version_is_refused_by_its_name(server, name, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(UserError) as error:
        flink(server.address, str(tmp_path / name)).check()
    assert (error.value.failure.value, error.value.failure.valid) == (name, JAR)


@pytest.mark.parametrize(("free", "total", "parallelism"), [(0, 0, 1), (2, 2, 3), (1, 4, 2)])
def test_too_few_slots_are_an_error_of_the_infrastructure(server, jar, free, total, parallelism):
    server.free, server.total = free, total
    with pytest.raises(EngineError) as error:
        flink(server.address, jar, f"--parallelism={parallelism}").check()
    assert error.value.failure.kind == Kind.INFRASTRUCTURE
    assert error.value.failure.value == f"{free} free of {total}"


def test_a_slot_that_becomes_free_is_waited_for(server, jar, monkeypatch):
    server.free = 0
    monkeypatch.setattr(room, "SLOT_SECONDS", 60.0)
    threading.Timer(0.3, lambda: setattr(server, "free", 1)).start()
    flink(server.address, jar).check()


def test_silence_is_an_error_within_the_limit(jar):
    started = time.monotonic()
    with socket.create_server(("localhost", 0)) as listening:
        address = f"localhost:{listening.getsockname()[1]}"
        with pytest.raises(EngineError) as error:
            flink(address, jar).check()
    assert time.monotonic() - started < 5
    assert error.value.failure.value == f"http://{address}"


def test_another_server_is_no_flink(server, jar):
    with pytest.raises(EngineError) as error:
        flink(f"{server.address}/other", jar).check()
    assert error.value.failure.value == f"http://{server.address}/other"


def test_jobs_of_the_name_are_cancelled_over_rest(server, jar):
    for job, name, state in (("1", "ours", "RUNNING"), ("2", "theirs", "RUNNING"), ("3", "ours", "FINISHED")):
        server.jobs.append({"jid": job, "name": name, "state": state})
    cancel_jobs(flink(server.address, jar), "ours")
    assert server.cancelled == ["1"]
    assert [job["state"] for job in server.jobs] == ["CANCELED", "RUNNING", "FINISHED"]


@pytest.mark.parametrize(("master", "starts"), [("[local]", True), ("[auto]", True), ("localhost:8081", False)])
def test_a_flink_that_beam_starts_itself_is_told_from_a_cluster(master, starts):
    assert starts_flink(PipelineOptions([f"--flink_master={master}"])) is starts
