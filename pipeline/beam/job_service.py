"""Engines behind a job endpoint, which speaks Beam's Job API: Prism, Beam's job servers for Flink and Spark."""

import contextlib
from collections.abc import Iterator

import grpc
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import TERMINAL_STATES

from pipeline.beam.engine import ANSWER_SECONDS, EngineError

NAME = "beam:option:job_name:v1"  # Beam's SDK for Python calls every job `job` and sends its name as an option


class JobService:
    """The engine behind the job endpoint HOST:PORT."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def check(self) -> None:
        """Checks that the endpoint answers."""
        with self._service():
            pass

    def unfinished(self, name: str) -> list[str]:
        """Returns the ids of the jobs `name` that have not ended."""
        with self._service() as service:
            jobs = service.GetJobs(api.GetJobsRequest(), timeout=ANSWER_SECONDS).job_info
        return [job.job_id for job in jobs if _name(job) == name and job.state not in TERMINAL_STATES]

    def cancel(self, job: str) -> None:
        """Asks for the end of a job."""
        with self._service() as service:
            service.Cancel(api.CancelJobRequest(job_id=job), timeout=ANSWER_SECONDS)

    @contextlib.contextmanager
    def _service(self) -> Iterator[beam_job_api_pb2_grpc.JobServiceStub]:
        with grpc.insecure_channel(self.endpoint) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=ANSWER_SECONDS)
                yield beam_job_api_pb2_grpc.JobServiceStub(channel)
            except grpc.FutureTimeoutError:
                raise EngineError(
                    f"Beam's job endpoint {self.endpoint} does not answer within {ANSWER_SECONDS:.0f} s",
                    value=self.endpoint,
                    remedy="Start its job server, or correct --job_endpoint among Beam's arguments",
                ) from None
            except grpc.RpcError as error:
                raise EngineError(
                    f"Beam's job endpoint {self.endpoint} refuses a request: {_reason(error)}",
                    value=self.endpoint,
                    remedy="Check that a job server of Beam listens there; its log may say more",
                ) from error


def _name(job: api.JobInfo) -> str:
    return job.pipeline_options.fields[NAME].string_value or job.job_name


def _reason(error: grpc.RpcError) -> str:
    return error.details() if isinstance(error, grpc.Call) else str(error)
