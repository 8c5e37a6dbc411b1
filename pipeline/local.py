"""Runs the pipeline on this machine, with Beam in this process."""

from tfx.orchestration.local.local_dag_runner import LocalDagRunner

from pipeline.config import PipelineConfig
from pipeline.dag import compile_pipeline, create_pipeline
from pipeline.outcome import Outcome, read_outcome


def run(config: PipelineConfig) -> Outcome:
    """Runs every component in turn; cached ones are skipped.

    Raises:
      Exception: whatever a component raised; a `UserError` among its causes is for a person.
      IncompleteRunError: a component did not finish.
    """
    LocalDagRunner().run_with_ir(compile_pipeline(create_pipeline(config)))
    return read_outcome(config.metadata, config.name)
