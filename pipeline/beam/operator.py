"""Runs a Beam component: what TFX's operator does, on an engine that was checked, without orphans or leftovers."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator

import apache_beam as beam
import grpc
import requests
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, PortableOptions
from tfx.dsl.compiler import placeholder_utils
from tfx.orchestration.portable import beam_executor_operator, data_types
from tfx.proto.orchestration import execution_result_pb2

from pipeline.beam.arguments import NO_ARCHIVE, plain, runner_of
from pipeline.beam.engine import Engine, EngineError, cancel_jobs, no_orphans
from pipeline.beam.flink import Flink, check_jar, starts_flink
from pipeline.beam.job_service import JobService
from trainer.errors import UserError


class BeamOperator(beam_executor_operator.BeamExecutorOperator):
    """TFX's operator of Beam components.

    The engine is checked when the component makes its Beam pipeline, which a component without such work never does.
    """

    def run_executor(
        self,
        execution_info: data_types.ExecutionInfo,
        make_beam_pipeline_fn: Callable[[], beam.Pipeline] | None = None,
    ) -> execution_result_pb2.ExecutorOutput:
        """Runs the component.

        Raises:
          Exception: whatever the component raised; its jobs have ended.
          EngineError: the engine does not answer, has no room, or was lost.
          UserError: Beam's arguments do not fit the engine.
        """
        context = placeholder_utils.ResolutionContext(exec_info=execution_info)
        arguments = [
            str(placeholder_utils.resolve_placeholder_expression(argument, context))
            for argument in self.beam_pipeline_args
        ]
        options = PipelineOptions(arguments)
        engine = engine_of(options)
        if engine is None:
            return super().run_executor(execution_info, make_beam_pipeline_fn)
        start = options.view_as(GoogleCloudOptions).job_name or "job"
        name = plain(f"{start}-{execution_info.pipeline_node.node_info.id}")
        with own_temporary_folder(), contextlib.ExitStack() as jobs:

            def make() -> beam.Pipeline:
                pipeline = made([*arguments, f"--job_name={name}"])
                engine.check()
                cancel_jobs(engine, name)  # of an attempt that was killed
                jobs.enter_context(no_orphans(engine, name))
                return pipeline

            try:
                return super().run_executor(execution_info, make)
            except (grpc.RpcError, requests.RequestException) as error:
                raise EngineError(
                    f"the engine was lost while the job {name} ran",
                    value=name,
                    remedy="Look into the log of its job server, and start again",
                    cause=error.details() if isinstance(error, grpc.Call) else str(error),
                ) from error


def engine_of(options: PipelineOptions) -> Engine | None:
    """Returns the engine outside of this process that the options name; None if Beam runs in process.

    Raises:
      UserError: it would be a child of this process, and cannot be started.
    """
    endpoint = options.view_as(PortableOptions).job_endpoint
    if endpoint and endpoint != "embed":
        return JobService(endpoint)
    if runner_of(options) != "flinkrunner":
        return None
    flink = Flink(options)
    if starts_flink(options):
        check_jar(flink.jar, flink.java)
        return None
    return flink


def check_arguments(arguments: list[str]) -> None:
    """Checks Beam's arguments before any component runs, as far as no engine needs to answer.

    Raises:
      UserError: they fit no engine, the engine cannot be started, or its workers would have no code.
    """
    engine = engine_of(PipelineOptions(arguments))
    if isinstance(engine, Flink):
        check_jar(engine.jar, engine.java)
    if engine:
        with own_temporary_folder():
            made(arguments)


def made(arguments: list[str]) -> beam.Pipeline:
    """Makes a pipeline for an engine outside of this process.

    Raises:
      UserError: Beam refuses the arguments, or they give the workers no code of this project.
    """
    try:
        pipeline = beam.Pipeline(argv=arguments)
    except ValueError as error:
        reason = " ".join(str(error).split()).removeprefix("Pipeline has validations errors: ").rstrip(".")
        raise UserError(f"Beam refuses its arguments: {reason}", value=arguments, remedy="Correct them") from error
    options = pipeline.options.view_as(PortableOptions)
    in_containers = (options.environment_type or "DOCKER").upper() == "DOCKER"
    image = options.environment_config or options.lookup_environment_option("docker_container_image")
    if in_containers and not image and NO_ARCHIVE in arguments:
        raise UserError(
            "Beam's workers would have no code of this project",
            value=options.environment_type,
            valid="--environment_type EXTERNAL, PROCESS or LOOPBACK, or --environment_config with an image of it",
            remedy="Add one of them to Beam's arguments",
        )
    return pipeline


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Removes what Beam leaves in the temporary folder: packages of each job, copies of jars."""
    with tempfile.TemporaryDirectory(prefix="vaeiaf-beam-") as folder:
        before, tempfile.tempdir = tempfile.tempdir, folder
        try:
            yield
        finally:
            tempfile.tempdir = before
