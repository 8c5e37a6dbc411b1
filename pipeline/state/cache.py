"""Decides whether a node's earlier result is reused, by a key made of content and by the digests of the result.

This module stands in for TFX's `cache_utils`, whose two functions it replaces. TFX's key includes URIs, times and Beam
flags, so it changes when the result does not, and it ignores the code.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import context_lib, execution_lib
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import Artifact

from components.ingest.properties import UNREADABLE, unreadable_images
from components.ingest.unchanged import FILES
from components.train.code import code_of, code_parts
from components.train.site import SITE
from pipeline.state.artifacts import quarantine, verify_inputs
from pipeline.state.lineage import artifacts_of
from pipeline.state.why import PARTS, SOURCES
from trainer.storage.digests import identity, read_digests
from trainer.storage.quarantine import damage

log = logging.getLogger(__name__)

UNKEYED = "unkeyed_inputs"  # key in a custom_config: the inputs that are no part of the node's cache key
# Execution properties that say where, or when written, and not what; or, of the report, what the run did.
PLACES = {"input_base", "source", FILES, "account"}


def get_cache_context(
    metadata_handle: metadata.Metadata,
    pipeline_node: pipeline_pb2.PipelineNode,
    pipeline_info: pipeline_pb2.PipelineInfo,
    input_artifacts: Mapping[str, Sequence[Artifact]] | None = None,
    parameters: Mapping[str, Any] | None = None,
    **_: Any,
) -> mlmd.Context:
    """Returns the MLMD context of the executions with the same key, after verifying the inputs.

    Raises:
      ReportedError: an input is damaged.
    """
    verify_inputs(input_artifacts or {})
    found = parts(pipeline_info.id, pipeline_node.node_info.id, input_artifacts or {}, parameters or {})
    context = context_lib.register_context_if_not_exists(
        metadata_handle=metadata_handle,
        context_type_name=context_lib.CONTEXT_TYPE_EXECUTION_CACHE,
        context_name=_hash(found),
    )
    if PARTS not in context.custom_properties:
        record = {**found, SOURCES: code_parts(found["node"])}
        context.custom_properties[PARTS].string_value = json.dumps(record, sort_keys=True)
        metadata_handle.store.put_contexts([context])
    return context


def key(pipeline: str, node: str, inputs: Mapping[str, Iterable[Artifact]], parameters: Mapping[str, Any]) -> str:
    """Returns the cache key of `node`, a hash of its parts.

    Raises:
      DamageError: the digests of an input cannot be read.
    """
    return _hash(parts(pipeline, node, inputs, parameters))


def parts(
    pipeline: str, node: str, inputs: Mapping[str, Iterable[Artifact]], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the parts of the key of `node`, which change exactly when its code, a setting or an input's content does.

    Raises:
      DamageError: the digests of an input cannot be read.
    """
    unkeyed = _unkeyed(parameters)
    settings = {name: _without_site(value) for name, value in parameters.items() if name not in PLACES}
    return {
        "pipeline": pipeline,
        "node": node,
        "code": code_of(node),
        "inputs": {
            name: sorted(map(_content, found)) for name, found in inputs.items() if found and name not in unkeyed
        },
        "parameters": settings | _repeated(node, inputs),
    }


def _hash(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _unkeyed(parameters: Mapping[str, Any]) -> list[str]:
    """Returns the inputs that are no part of the key."""
    try:
        return json.loads(parameters["custom_config"])[UNKEYED]
    except (ValueError, TypeError, KeyError):
        return []


def _without_site(value: Any) -> str:
    """An execution property as text, without the `SITE` of a custom_config."""
    try:
        settings = json.loads(value)
        del settings[SITE]
    except (ValueError, TypeError, KeyError):
        return str(value)
    return json.dumps(settings)


def _repeated(node: str, inputs: Mapping[str, Iterable[Artifact]]) -> dict[str, str]:
    """Returns what the evidence of the Evaluator repeats of its inputs, beside their content."""
    return {UNREADABLE: str(sum(map(unreadable_images, inputs.get("examples", ()))))} if node == "Evaluator" else {}


def _content(artifact: Artifact) -> list[str]:
    properties = artifact.mlmd_artifact.properties
    said = {name: properties[name].SerializeToString(deterministic=True).hex() for name in sorted(properties)}
    return [artifact.type_name, identity(read_digests(artifact.uri)), json.dumps(said)]


def get_cached_outputs(
    metadata_handle: metadata.Metadata, cache_context: mlmd.Context
) -> dict[str, list[Artifact]] | None:
    """Returns the outputs of the newest execution with this key whose files are intact; quarantines damaged ones."""
    found = metadata_handle.store.get_executions_by_context(cache_context.id)
    done = [execution for execution in found if execution_lib.is_execution_successful(execution)]
    for execution in execution_lib.sort_executions_newest_to_oldest(done):
        outputs = artifacts_of(metadata_handle.store, execution, mlmd.Event.OUTPUT)
        present = [artifact for group in outputs.values() for artifact in group]
        if any(artifact.mlmd_artifact.state != mlmd.Artifact.LIVE for artifact in present):
            continue
        damaged = [(artifact, what) for artifact in present if (what := damage(artifact.uri))]
        if not damaged:
            return outputs
        for artifact, what in damaged:
            moved = quarantine(artifact, what, metadata_handle.store)
            log.warning("an earlier result is damaged (%s) and is not reused: moved to %s", what, moved)
    return None
