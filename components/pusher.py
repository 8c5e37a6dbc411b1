"""AtomicPusher: a pushed model appears whole or not at all, and an unchanged one is not pushed again."""

import os
import time
import uuid
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.components.pusher import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import io_utils, proto_utils

from components.leftovers import clear

STAGING = ".incomplete-"


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
        newest = os.path.join(base, str(versions[-1])) if versions else None
        if newest and _same_model(newest, model):
            self._MarkNotPushed(artifact)
            artifact.set_string_custom_property("unchanged", newest)
            return
        version = self._copy_whole(model, base, max(int(time.time()), versions[-1] + 1 if versions else 0))
        self._MarkPushed(artifact, pushed_destination=os.path.join(base, str(version)), pushed_version=str(version))

    def _copy_whole(self, model: str, base: str, version: int) -> int:
        """The version that it has become, `version` or the next that is free: another run may push at the same time."""
        staging = os.path.join(base, f"{STAGING}{uuid.uuid4().hex}")
        clear(base, STAGING, days=1)
        try:
            io_utils.copy_dir(model, staging)
            while fileio.exists(os.path.join(base, str(version))):
                version += 1
            fileio.rename(staging, os.path.join(base, str(version)))
        except BaseException:
            if fileio.exists(staging):
                fileio.rmtree(staging)
            raise
        return version


class AtomicPusher(component.Pusher):
    """Pusher to a directory that a model server watches."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def pushed_versions(base: str) -> list[int]:
    """The versions in a push directory, oldest first."""
    if not fileio.exists(base):
        return []
    return sorted(int(name) for name in (entry.rstrip("/") for entry in fileio.listdir(base)) if name.isdigit())


def _same_model(one: str, other: str) -> bool:
    """Whether two SavedModels compute the same from the same weights, by TensorFlow's canonical hashes.

    Their files differ even so: an export has random and running numbers in it.
    """
    try:
        return _identity(one) == _identity(other)
    except FileNotFoundError:  # a version that somebody else put there
        return False


def _identity(model: str) -> tuple[int, int, int]:
    fingerprint = tf.saved_model.experimental.read_fingerprint(model)
    return fingerprint.graph_def_program_hash, fingerprint.signature_def_hash, fingerprint.checkpoint_hash
