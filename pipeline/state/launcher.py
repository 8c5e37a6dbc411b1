"""TFX's launcher of a node, with a content-addressed cache and durable outputs."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from tfx.dsl.io import fileio
from tfx.orchestration.portable import data_types, launcher
from tfx.proto.orchestration import execution_result_pb2
from tfx.types import Artifact

from pipeline.state import cache
from pipeline.state.artifacts import verify_inputs
from trainer.errors import InterruptError, StorageError
from trainer.storage.digests import write_digests


class Launcher(launcher.Launcher):
    """TFX's launcher; outputs are flushed to the disk and get digests before they are recorded."""

    def _prepare_execution(self) -> Any:
        """Uses our cache: TFX's launcher looks its own up by a name in its module, and has no other hook."""
        theirs, launcher.cache_utils = launcher.cache_utils, cache
        try:
            return super()._prepare_execution()
        finally:
            launcher.cache_utils = theirs

    def _run_executor(self, execution_info: data_types.ExecutionInfo) -> execution_result_pb2.ExecutorOutput:
        """Runs the component in empty output folders, then flushes them to the disk and writes their digests.

        The folders are emptied because an earlier attempt of the same run may have left partial output there.

        Raises:
          Exception: whatever the component raised; the outputs are removed.
          ReportedError: the component failed because an input was damaged meanwhile; the outputs are removed.
          StorageError: the digests cannot be written; the outputs are removed.
        """
        _remove(execution_info.output_dict)
        try:
            result = super()._run_executor(execution_info)
        except InterruptError:
            raise
        except Exception:
            verify_inputs(execution_info.input_dict)  # damage shows as some other error
            raise
        try:
            for artifact in chain.from_iterable(execution_info.output_dict.values()):
                write_digests(artifact.uri)
        except OSError as error:
            _remove(execution_info.output_dict)
            node = execution_info.pipeline_node.node_info.id
            raise StorageError(f"the output of {node}", artifact.uri, error) from error
        return result


def _remove(outputs: Mapping[str, Iterable[Artifact]]) -> None:
    for artifact in chain.from_iterable(outputs.values()):
        if fileio.isdir(artifact.uri):
            fileio.rmtree(artifact.uri)
