"""Flink, asked over its REST API. Beam's uber-jar mode sends jobs to it without a job server."""

import os
import re
import shutil
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlparse

import requests
from apache_beam.options.pipeline_options import FlinkRunnerOptions, JobServerOptions, PipelineOptions
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES, FlinkRunner
from apache_beam.version import __version__ as BEAM_VERSION  # noqa: N812

from pipeline.beam.engine import ANSWER_SECONDS, EngineError
from trainer.errors import UserError

VERSIONS = FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS
JAR = re.compile(r"beam-runners-flink-(?P<flink>\d+\.\d+)-job-server-(?P<beam>\d+\.\d+\.\d+)\.jar$")
ENDED = {"FINISHED", "FAILED", "CANCELED"}
SLOT_SECONDS = 300.0  # until a slot is free; Flink itself waits as long (slot.request.timeout)
POLL_SECONDS = 5.0


class Slots(NamedTuple):
    """Task slots of a cluster."""

    free: int
    total: int


class Flink:
    """A Flink cluster at the REST address `master`, and the job server's jar that Beam sends to it."""

    def __init__(self, options: PipelineOptions) -> None:
        flink = options.view_as(FlinkRunnerOptions)
        self.master = FlinkRunner.add_http_scheme(flink.flink_master).rstrip("/")
        self.jar: str | None = flink.flink_job_server_jar
        self.java: str | None = (
            None if flink.flink_submit_uber_jar else options.view_as(JobServerOptions).job_server_java_launcher
        )
        self.parallelism = max(1, flink.parallelism)

    def check(self) -> None:
        """Checks the jar, then that Flink answers, its version and its slots."""
        check_jar(self.jar, self.java)
        config = self._ask("GET", "/v1/config")
        if not isinstance(config, dict) or "flink-version" not in config:
            raise EngineError(
                f"the server at {self.master} is not Flink's REST API",
                value=self.master,
                remedy="Correct --flink_master among Beam's arguments",
            )
        check_version(self.jar or "", ".".join(config["flink-version"].split(".")[:2]), self.master)
        self._wait_for_slots()

    def unfinished(self, name: str) -> list[str]:
        """Returns the ids of the jobs `name` that have not ended."""
        jobs = self._ask("GET", "/v1/jobs/overview")["jobs"]
        return [job["jid"] for job in jobs if job["name"] == name and job["state"] not in ENDED]

    def cancel(self, job: str) -> None:
        """Asks for the end of a job. Beam's own request for that has a wrong path."""
        self._ask("PATCH", f"/v1/jobs/{job}?mode=cancel")

    def slots(self) -> Slots:
        """Returns the slots of all TaskManagers."""
        overview = self._ask("GET", "/v1/overview")
        return Slots(overview["slots-available"], overview["slots-total"])

    def _wait_for_slots(self) -> None:
        deadline = time.monotonic() + SLOT_SECONDS
        while (slots := self.slots()).free < self.parallelism:
            if slots.total < self.parallelism or time.monotonic() > deadline:
                raise EngineError(
                    f"Flink at {self.master} has too few free task slots",
                    value=f"{slots.free} free of {slots.total}",
                    valid=f"at least {self.parallelism} free, the job's parallelism",
                    remedy="Add TaskManagers, wait for other jobs, or lower --parallelism among Beam's arguments",
                )
            time.sleep(POLL_SECONDS)

    def _ask(self, method: str, path: str) -> Any:
        """Returns the JSON of an answer; None if it has none."""
        try:
            answer = requests.request(method, self.master + path, timeout=ANSWER_SECONDS)
            if answer.status_code in (404, 409) and method == "PATCH":  # the job has ended
                return None
            if not answer.ok:
                raise self._error(f"answers {answer.status_code} to {method} {path}")
            return answer.json()
        except requests.JSONDecodeError:
            return None
        except requests.RequestException as error:
            raise self._error(f"does not answer within {ANSWER_SECONDS:.0f} s") from error

    def _error(self, what: str) -> EngineError:
        return EngineError(
            f"Flink at {self.master} {what}",
            value=self.master,
            remedy="Start its JobManager, or correct --flink_master among Beam's arguments",
        )


def starts_flink(options: PipelineOptions) -> bool:
    """Returns whether Beam itself starts the Flink cluster, as a child of this process."""
    return options.view_as(FlinkRunnerOptions).flink_master.strip() in MAGIC_HOST_NAMES


def check_jar(jar: str | None, java: str | None, which: Callable[[str], str | None] = shutil.which) -> None:
    """Checks the job server's jar and, if Beam starts it as a server, the program `java`.

    Raises:
      UserError: one of them is missing.
    """
    coordinates = f"org.apache.beam:beam-runners-flink-1.20-job-server:{BEAM_VERSION}"
    if not jar or not (os.path.isfile(jar) or urlparse(jar).scheme):
        raise UserError(
            "FlinkRunner has no job server's jar",
            value=jar,
            valid="--flink_job_server_jar with the path of a file or a URL",
            remedy=f"Fetch {coordinates} from a Maven repository",
        )
    if java and not which(java):
        raise UserError(
            f"FlinkRunner would start its job server with {java}, which is not installed",
            value=java,
            remedy="Add --flink_submit_uber_jar to Beam's arguments, which needs no Java beside this process",
        )


def check_version(jar: str, version: str, master: str) -> None:
    """Checks the version of Flink, major and minor, against Beam's and the jar's.

    Raises:
      UserError: they do not fit.
    """
    if version not in VERSIONS:
        raise UserError(
            f"Beam {BEAM_VERSION} has no job server for the Flink at {master}",
            value=version,
            valid=f"Flink of a version among {', '.join(VERSIONS)}",
            remedy="Use a cluster of Flink 1.20",
        )
    expected = f"beam-runners-flink-{version}-job-server-{BEAM_VERSION}.jar"
    if (named := JAR.search(jar)) and named.groups() != (version, BEAM_VERSION):
        raise UserError(
            f"the job server's jar does not fit Flink {version} at {master} and Beam {BEAM_VERSION}",
            value=named.group(),
            valid=expected,
            remedy=f"Fetch org.apache.beam:beam-runners-flink-{version}-job-server:{BEAM_VERSION}",
        )
