"""The Job API, spoken with a server of it."""

import contextlib
import socket
import time
from concurrent import futures

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc

from pipeline.beam import engine, job_service
from pipeline.beam.engine import EngineError, cancel_jobs, no_orphans
from pipeline.beam.job_service import NAME, JobService
from trainer.failure import Kind


class Jobs(beam_job_api_pb2_grpc.JobServiceServicer):
    """A job server whose jobs end some requests after they were cancelled."""

    def __init__(self):
        self.states, self.names, self.cancelled, self.patience = {}, {}, [], 2

    def add(self, job, name, state):
        self.states[job], self.names[job] = state, name

    def GetJobs(self, request, context):  # noqa: N802
        found = []
        for job, state in self.states.items():
            info = api.JobInfo(job_id=job, job_name="job", state=state)
            info.pipeline_options.fields[NAME].string_value = self.names[job]
            found.append(info)
            if state == api.JobState.CANCELLING:
                self.patience -= 1
                self.states[job] = state if self.patience else api.JobState.CANCELLED
        return api.GetJobsResponse(job_info=found)

    def Cancel(self, request, context):  # noqa: N802
        self.cancelled.append(request.job_id)
        self.states[request.job_id] = api.JobState.CANCELLING
        return api.CancelJobResponse(state=api.JobState.CANCELLING)


@pytest.fixture
def server():
    jobs, server = Jobs(), grpc.server(futures.ThreadPoolExecutor(4))
    beam_job_api_pb2_grpc.add_JobServiceServicer_to_server(jobs, server)
    jobs.endpoint = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    yield jobs
    server.stop(0)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(job_service, "ANSWER_SECONDS", 2.0)
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.01)


@contextlib.contextmanager
def silent():
    """An endpoint that accepts connections and says nothing."""
    with socket.create_server(("localhost", 0)) as listening:
        yield f"localhost:{listening.getsockname()[1]}"


def test_a_job_server_that_answers_passes_the_check(server):
    JobService(server.endpoint).check()


def test_silence_is_an_error_within_the_limit_and_not_after_five_minutes(impatient):
    started = time.monotonic()
    with silent() as endpoint, pytest.raises(EngineError) as error:
        JobService(endpoint).check()
    assert time.monotonic() - started < 9
    assert error.value.failure.value == endpoint
    assert error.value.failure.kind == Kind.INFRASTRUCTURE


def test_an_endpoint_where_nothing_listens_is_the_same_error(impatient):
    with pytest.raises(EngineError):
        JobService("localhost:1").check()


def test_a_server_without_the_job_api_is_told_from_silence():
    server = grpc.server(futures.ThreadPoolExecutor(1))
    endpoint = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    with pytest.raises(EngineError) as error:
        JobService(endpoint).unfinished("ours")
    server.stop(0)
    assert isinstance(error.value.__cause__, grpc.RpcError)


def test_only_jobs_of_the_name_that_have_not_ended_are_cancelled_and_their_end_is_waited_for(server, impatient):
    server.add("1", "ours", api.JobState.RUNNING)
    server.add("2", "theirs", api.JobState.RUNNING)
    server.add("3", "ours", api.JobState.DONE)
    cancel_jobs(JobService(server.endpoint), "ours")
    assert server.cancelled == ["1"]
    assert server.states == {"1": api.JobState.CANCELLED, "2": api.JobState.RUNNING, "3": api.JobState.DONE}


def test_a_job_that_does_not_end_is_an_error(server, impatient, monkeypatch):
    monkeypatch.setattr(engine, "END_SECONDS", 0.3)
    server.add("1", "ours", api.JobState.RUNNING)
    server.patience = 10**6
    with pytest.raises(EngineError) as error:
        cancel_jobs(JobService(server.endpoint), "ours")
    assert error.value.failure.value == ["1"]


def test_an_error_cancels_the_jobs_and_success_does_not(server, impatient):
    server.add("1", "ours", api.JobState.RUNNING)
    with no_orphans(JobService(server.endpoint), "ours"):
        pass
    assert server.cancelled == []
    with pytest.raises(ZeroDivisionError), no_orphans(JobService(server.endpoint), "ours"):
        raise ZeroDivisionError
    assert server.cancelled == ["1"]


def test_an_engine_that_is_gone_hides_no_error(impatient):
    with silent() as endpoint, pytest.raises(ZeroDivisionError), no_orphans(JobService(endpoint), "ours"):
        raise ZeroDivisionError
