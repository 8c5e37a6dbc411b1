"""What happens around a Beam component, on an engine that records what it is asked."""

import os
import tempfile

import apache_beam as beam
import grpc
import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from tfx.orchestration.portable import beam_executor_operator, data_types
from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2

from components.train.site import Site
from pipeline.beam import operator
from pipeline.beam.arguments import BEAM_ARGS
from pipeline.beam.engine import EngineError
from pipeline.beam.flink import Flink
from pipeline.beam.job_service import JobService
from pipeline.beam.operator import BeamOperator, engine_of
from pipeline.dag import compile_pipeline, create_pipeline
from pipeline.local import plan
from pipeline.settings import PipelineConfig
from trainer.errors import InterruptError, UserError

REMOTE = ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--environment_type=LOOPBACK"]


class Recorder:
    """An engine that always has room."""

    def __init__(self):
        self.asked, self.jobs = [], {}

    def check(self):
        self.asked.append("check")

    def unfinished(self, name):
        self.asked.append(f"unfinished {name}")
        return [job for job, known in self.jobs.items() if known == name]

    def cancel(self, job):
        self.asked.append(f"cancel {job}")
        del self.jobs[job]


@pytest.fixture
def engine(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(operator, "engine_of", lambda _: recorder)
    return recorder


@pytest.fixture
def run(monkeypatch):
    """Runs the node Evaluator, whose component does `work` with the function that makes its Beam pipeline."""

    def start(work, *arguments):
        spec = executable_spec_pb2.BeamExecutableSpec()
        spec.python_executor_spec.class_path = "components.gate.evaluator.Executor"
        for argument in arguments or REMOTE:
            spec.beam_pipeline_args_placeholders.add().value.string_value = argument
        node = pipeline_pb2.PipelineNode()
        node.node_info.id = "Evaluator"
        monkeypatch.setattr(
            beam_executor_operator.BeamExecutorOperator, "run_executor", lambda self, info, make=None: work(make)
        )
        return BeamOperator(spec).run_executor(data_types.ExecutionInfo(pipeline_node=node))

    return start


def test_the_engine_is_checked_and_cleared_before_the_job_which_has_the_node_s_name(run, engine):
    engine.jobs = {"1": "run-1-evaluator", "2": "run-1-statisticsgen"}
    pipeline = run(lambda make: make(), *REMOTE, "--job_name=run-1")
    assert engine.asked[:3] == ["check", "unfinished run-1-evaluator", "cancel 1"]
    assert engine.jobs == {"2": "run-1-statisticsgen"}
    assert pipeline.options.view_as(GoogleCloudOptions).job_name == "run-1-evaluator"


def test_a_component_without_beam_s_work_asks_the_engine_nothing(run, engine):
    assert run(lambda make: "done") == "done"
    assert engine.asked == []


@pytest.mark.parametrize("raised", [InterruptError(15), ZeroDivisionError()])
def test_a_component_that_raises_leaves_no_job(run, engine, raised):
    def work(make):
        make()
        engine.jobs["1"] = "job-evaluator"
        raise raised

    with pytest.raises(type(raised)):
        run(work)
    assert engine.jobs == {}


def test_a_lost_engine_is_a_failure_of_the_infrastructure(run, engine):
    def work(make):
        raise grpc.RpcError("Socket closed")

    with pytest.raises(EngineError) as error:
        run(work)
    assert (error.value.failure.value, error.value.failure.cause) == ("job-evaluator", "Socket closed")


def test_nothing_stays_in_the_temporary_folder(run, engine, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (used,) = [run(lambda make: [tempfile.mkdtemp()])]
    assert os.path.dirname(os.path.dirname(used[0])) == str(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() == str(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--environment_type=EXTERNAL"],
        ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--sdk_container_image=none"],
        ["--runner=flink", "--flink_master=h:1", "--environment_type=docker", "--sdk_container_image=none"],
    ],
    ids=["Beam's own check", "no code", "no code in containers"],
)
def test_arguments_that_beam_or_its_workers_cannot_use_are_refused_before_the_engine_is_asked(run, engine, arguments):
    with pytest.raises(UserError):
        run(lambda make: make(), *arguments)
    assert engine.asked == []


@pytest.mark.parametrize(
    "arguments",
    [["--environment_config=ours:1", "--sdk_container_image=none"], ["--sdk_container_image=ours:1"]],
    ids=["environment", "image"],
)
def test_an_image_gives_the_workers_their_code(run, engine, arguments):
    made = run(lambda make: make(), "--runner=PortableRunner", "--job_endpoint=localhost:1", *arguments)
    assert isinstance(made, beam.Pipeline)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["--runner=FnApiRunner"], type(None)),
        (["--runner=PortableRunner", "--job_endpoint=h:1"], JobService),
        (["--runner=PortableRunner", "--job_endpoint=embed"], type(None)),
        (["--runner=SparkRunner", "--job_endpoint=h:1"], JobService),
        (["--runner=FlinkRunner", "--job_endpoint=h:1"], JobService),
        (["--runner=flink", "--flink_master=h:1"], Flink),
        (["--runner=apache_beam.runners.portability.flink_runner.FlinkRunner", "--flink_master=h:1"], Flink),
        (["--runner=DataflowRunner"], type(None)),
    ],
)
def test_the_engine_follows_from_the_arguments(arguments, kind):
    assert isinstance(engine_of(PipelineOptions(arguments)), kind)


def test_a_flink_that_beam_starts_needs_its_jar_before_anything_else():
    with pytest.raises(UserError):
        engine_of(PipelineOptions(["--runner=FlinkRunner"]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--runner=Foo"],
        ["--runner=FlinkRunner"],
        ["--runner=FlinkRunner", "--flink_master=h:1"],
        ["--runner=PortableRunner", "--job_endpoint=h:1"],
    ],
    ids=["no runner", "no jar", "no jar for a cluster", "no code"],
)
def test_wrong_arguments_are_told_before_anything_else(arguments, tmp_path):
    config = PipelineConfig(root=str(tmp_path), data=str(tmp_path / "missing"), beam_args=tuple(arguments))
    with pytest.raises(UserError):
        plan(config, "run", Site())


def test_right_arguments_need_no_engine_yet(tmp_path):
    assert plan(PipelineConfig(root=str(tmp_path), beam_args=tuple(REMOTE)), "run", Site()).nodes


def test_the_nodes_that_the_engine_is_for_get_the_arguments_and_the_name_of_the_run(tmp_path):
    config = PipelineConfig(root=str(tmp_path), beam_args=tuple(REMOTE), beam_nodes=("ImageExampleGen", "Evaluator"))
    graph = compile_pipeline(create_pipeline(config, Site(run="run-1")))
    (deployment,) = [graph.deployment_config]
    local = pipeline_pb2.IntermediateDeploymentConfig()
    deployment.Unpack(local)
    found = {}
    for node, packed in local.executor_specs.items():
        if packed.Is(executable_spec_pb2.BeamExecutableSpec.DESCRIPTOR):
            spec = executable_spec_pb2.BeamExecutableSpec()
            packed.Unpack(spec)
            found[node] = [argument.value.string_value for argument in spec.beam_pipeline_args_placeholders]
    on_engine = {*REMOTE, "--job_name=vaeiaf-cifar10-run-1", "--sdk_container_image=none"}
    assert {node: set(arguments) for node, arguments in found.items()} == {
        "ImageExampleGen": on_engine,
        "StatisticsGen": {*BEAM_ARGS},
        "Transform": {*BEAM_ARGS},
        "Evaluator": on_engine,
        "AtomicPusher": {*BEAM_ARGS},
    }
