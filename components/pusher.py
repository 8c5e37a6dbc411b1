"""AtomicPusher: a pushed model appears whole or not at all, and an unchanged one is not pushed again."""

import hashlib
import os
import time
from typing import Any

from tfx import types
from tfx.components.pusher import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import io_utils, proto_utils


class Executor(executor.Executor):
    """Pushes to `<base directory>/<version>`, where version is the time of the push in seconds since 1970.

    The copy is made beside the versions, in a folder that TensorFlow Serving does not look at, and renamed.
    The artifact gets no copy of its own, which could fail when the model is out: it says where the model is.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes a blessed model that differs from the newest version; marks the artifact with what was done."""
        artifact = artifact_utils.get_single_instance(output_dict[specs.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(artifact)
            return
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[specs.PUSH_DESTINATION_KEY], destination)
        base = destination.filesystem.base_directory
        model = self.GetModelPath(input_dict)
        versions = pushed_versions(base)
        if versions and tree_digest(os.path.join(base, str(versions[-1]))) == tree_digest(model):
            self._MarkNotPushed(artifact)
            artifact.set_string_custom_property("unchanged", os.path.join(base, str(versions[-1])))
            return
        version = max(int(time.time()), versions[-1] + 1 if versions else 0)
        self._copy_whole(model, base, str(version))
        self._MarkPushed(artifact, pushed_destination=os.path.join(base, str(version)), pushed_version=str(version))

    def _copy_whole(self, model: str, base: str, version: str) -> None:
        staging = os.path.join(base, ".incomplete")
        if fileio.exists(staging):  # of a push that was killed
            fileio.rmtree(staging)
        try:
            io_utils.copy_dir(model, staging)
            fileio.rename(staging, os.path.join(base, version))
        except BaseException:
            if fileio.exists(staging):
                fileio.rmtree(staging)
            raise


class AtomicPusher(component.Pusher):
    """Pusher to a directory that a model server watches."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def pushed_versions(base: str) -> list[int]:
    """The versions in a push directory, oldest first."""
    if not fileio.exists(base):
        return []
    return sorted(int(name) for name in (entry.rstrip("/") for entry in fileio.listdir(base)) if name.isdigit())


def tree_digest(folder: str) -> str:
    """SHA-256 over the names and contents of a SavedModel's files.

    Not of fingerprint.pb: it has a random number, by which alone two exports of the same model differ.
    """
    digest = hashlib.sha256()
    paths = sorted(os.path.join(parent, name) for parent, _, names in fileio.walk(folder) for name in names)
    for path in paths:
        if os.path.basename(path) != "fingerprint.pb":
            content = io_utils.read_bytes_file(path)
            digest.update(f"{os.path.relpath(path, folder)}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()
