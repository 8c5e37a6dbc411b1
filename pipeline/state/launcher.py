"""TFX's launcher of a node, with a cache that goes by content and outputs whose digests are written."""

from collections.abc import Iterable, Mapping
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
    """TFX's launcher, which also makes outputs durable before they are recorded."""

    def _prepare_execution(self) -> Any:
        """Looks into our cache; TFX's launcher finds its own by a name in its module, and has no other hook."""
        theirs, launcher.cache_utils = launcher.cache_utils, cache
        try:
            return super()._prepare_execution()
        finally:
            launcher.cache_utils = theirs

    def _run_executor(self, execution_info: data_types.ExecutionInfo) -> execution_result_pb2.ExecutorOutput:
        """Runs the component in empty output folders, then flushes them to the disk and writes their digests.

        An earlier try of the same run may have left a part of its output under the same name.

        Raises:
          Exception: whatever the component raised; the outputs are removed.
          ReportedError: an input was damaged meanwhile, which is why the component failed; the same.
          StorageError: the digests cannot be written; the same.
        """
        _remove(execution_info.output_dict)
        try:
            result = super()._run_executor(execution_info)
        except InterruptError:
            raise
        except Exception:
            verify_inputs(execution_info.input_dict)  # an error of a damaged input says something else
            raise
        try:
            for artifacts in execution_info.output_dict.values():
                for artifact in artifacts:
                    write_digests(artifact.uri)
        except OSError as error:
            _remove(execution_info.output_dict)
            raise StorageError(
                f"the output of {execution_info.pipeline_node.node_info.id}", artifact.uri, error
            ) from error
        return result


def _remove(outputs: Mapping[str, Iterable[Artifact]]) -> None:
    for artifacts in outputs.values():
        for artifact in artifacts:
            if fileio.isdir(artifact.uri):
                fileio.rmtree(artifact.uri)
