"""The wording of the messages about Beam's engine."""

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.version import __version__ as BEAM  # noqa: N812

from pipeline.beam import engine, flink, job_service, operator
from pipeline.beam.arguments import beam_args
from pipeline.beam.engine import cancel_jobs
from pipeline.beam.flink import Flink, Slots, check_jar, check_version
from pipeline.beam.job_service import JobService
from trainer.errors import ReportedError

JAR = f"beam-runners-flink-1.20-job-server-{BEAM}.jar"
REMOTE = ["--runner=PortableRunner", "--job_endpoint=h:1"]


class Stuck:
    """An engine whose job does not end."""

    def unfinished(self, name):
        return ["job-1"]

    def cancel(self, job):
        pass


def cluster(answers, *arguments):
    """A Flink that gives these answers, by path."""
    found = Flink(PipelineOptions(["--flink_master=h:1", "--flink_job_server_jar=file:/a.jar", *arguments]))
    found.java = None
    found._ask = lambda method, path: answers[path]
    return found


MESSAGES = {
    "arguments": (
        lambda: beam_args(["--parallelism=two"]),
        "beam_args: expected arguments that Beam accepts, got ['--parallelism=two']. Beam says: argument "
        "--parallelism: invalid int value: 'two'",
    ),
    "runner": (
        lambda: beam_args(["--runner=no.such.Runner"]),
        "beam_args: expected arguments that Beam accepts, got ['--runner=no.such.Runner']. Beam says: No module named "
        "'no'",
    ),
    "validation": (
        lambda: operator.made([*REMOTE, "--environment_type=EXTERNAL"]),
        "Beam refuses its arguments: Option external_service_address is required for "
        "environment type EXTERNAL. Correct them",
    ),
    "no code": (
        lambda: operator.made([*REMOTE, "--sdk_container_image=none"]),
        "Beam's workers would have no code of this project: expected --environment_type EXTERNAL, PROCESS or LOOPBACK, "
        "or --environment_config with an image of it, got None. Add one of them to Beam's arguments",
    ),
    "endpoint": (
        lambda: JobService("localhost:1").check(),
        "Beam's job endpoint localhost:1 does not answer within 0 s. Start its job server, or correct --job_endpoint "
        "among Beam's arguments",
    ),
    "stuck": (
        lambda: cancel_jobs(Stuck(), "ours"),
        "the job ours has not ended 0 s after it was cancelled. End it on its engine, and start again",
    ),
    "no jar": (
        lambda: check_jar(None, None),
        "FlinkRunner has no job server's jar: expected --flink_job_server_jar with the path of a file or a URL, got "
        f"None. Fetch org.apache.beam:beam-runners-flink-1.20-job-server:{BEAM} from a Maven repository",
    ),
    "no Java": (
        lambda: check_jar("file:/a.jar", "java", lambda _: None),
        "FlinkRunner would start its job server with java, which is not installed. Add --flink_submit_uber_jar to "
        "Beam's arguments, which needs no Java beside this process",
    ),
    "version": (
        lambda: check_version(JAR, "1.18", "http://h:1"),
        f"Beam {BEAM} has no job server for the Flink at http://h:1: expected Flink of a version among "
        "1.19, 1.20, 2.0, 2.1, 2.2, got '1.18'. Use a cluster of Flink 1.20",
    ),
    "jar": (
        lambda: check_version(JAR.replace("1.20", "1.19"), "1.20", "http://h:1"),
        f"the job server's jar does not fit Flink 1.20 at http://h:1 and Beam {BEAM}: expected {JAR}, got "
        f"'{JAR.replace('1.20', '1.19')}'. Fetch org.apache.beam:beam-runners-flink-1.20-job-server:{BEAM}",
    ),
    "no Flink": (
        lambda: cluster({"/v1/config": {}}).check(),
        "the server at http://h:1 is not Flink's REST API. Correct --flink_master among Beam's arguments",
    ),
    "silent Flink": (
        lambda: Flink(PipelineOptions(["--flink_master=localhost:1"])).slots(),
        "Flink at http://localhost:1 does not answer within 1 s. Start its JobManager, or correct --flink_master among "
        "Beam's arguments",
    ),
    "slots": (
        lambda: cluster(
            {"/v1/config": {"flink-version": "1.20.5"}, "/v1/overview": {"slots-available": 1, "slots-total": 2}},
            "--parallelism=3",
        ).check(),
        "Flink at http://h:1 has too few free task slots: expected at least 3 free, the job's parallelism, got "
        "'1 free of 2'. Add TaskManagers, wait for other jobs, or lower --parallelism among Beam's arguments",
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name, monkeypatch):
    monkeypatch.setattr(job_service, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(flink, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(engine, "END_SECONDS", 0.0)
    act, words = MESSAGES[name]
    with pytest.raises(ReportedError) as error:
        act()
    assert str(error.value.failure) == words


def test_slots_are_free_and_total():
    assert cluster({"/v1/overview": {"slots-available": 1, "slots-total": 2}}).slots() == Slots(free=1, total=2)
