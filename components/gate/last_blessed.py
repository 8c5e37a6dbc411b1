"""Finds the baseline: the model that is served, which a new one has to stand against.

It is the newest version in the push directory: after blessing A, then B, then A again from the cache, that is A. Where
the push directory is empty it is the model that was blessed last.
"""

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import types
from tfx.components.util.model_utils import is_model_blessed
from tfx.dsl.components.common.resolver import ResolverStrategy

from components.gate.serving import newest, saved_model_digests
from trainer.storage.digests import DamageError, identity

MODEL, BLESSING = "model", "model_blessing"  # the resolver's channels


class LastBlessedModelStrategy(ResolverStrategy):
    """The Model artifact of the model that is served. It is not verified here: errors of a resolver are lost.

    Args:
      push_directory: where models are served from.
      no_baseline: find none, because the user said so.
    """

    def __init__(self, push_directory: str, no_baseline: bool) -> None:
        self._push_directory, self._no_baseline = push_directory, no_baseline

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """The model under its key. A blessing alone: the model that it is of is not among the models."""
        models, blessings = input_dict[MODEL], input_dict[BLESSING]
        if self._no_baseline:
            return {MODEL: [], BLESSING: []}
        served = newest(self._push_directory)
        if served is not None:
            found = [model for model in models if _saved_model(model) == served.model]
            return {MODEL: found[-1:], BLESSING: []}
        blessing = _last(store, blessings)
        model_id = blessing[0].get_int_custom_property("current_model_id") if blessing else None
        return {MODEL: [model for model in models if model.id == model_id], BLESSING: blessing}


def _saved_model(model: types.Artifact) -> str | None:
    try:
        return identity(saved_model_digests(model.uri))
    except DamageError:
        return None


def _last(store: MetadataStore, blessings: list[types.Artifact]) -> list[types.Artifact]:
    """The last blessing, or nothing. One that a later execution took from the cache counts as of that time."""
    blessed = {blessing.id: blessing for blessing in blessings if is_model_blessed(blessing)}
    events = store.get_events_by_artifact_ids(list(blessed)) if blessed else []
    given = [event for event in events if event.type == mlmd.Event.OUTPUT]
    return [blessed[max(given, key=lambda event: event.execution_id).artifact_id]] if given else []
