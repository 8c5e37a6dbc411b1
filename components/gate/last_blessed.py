"""Finds the baseline: the served model, which a new model is compared with.

The baseline is the newest version in the push directory: after pushes of A, B and, from the cache, A again, it is A. If
the push directory is empty, the baseline is the model that was blessed last, unless it was withdrawn.
"""

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import types
from tfx.components.util.model_utils import is_model_blessed
from tfx.dsl.components.common.resolver import ResolverStrategy

from components.artifacts import Artifacts
from components.card.names import model_identity
from components.gate.serving import newest, saved_model_digests
from components.gate.withdrawal import withdrawals
from trainer.storage.digests import DamageError

MODEL, BLESSING = "model", "model_blessing"  # the resolver's channels


class LastBlessedModelStrategy(ResolverStrategy):
    """The Model artifact of the served model. Later nodes verify it, because TFX drops a resolver's errors.

    Args:
      push_directory: folder that models are served from.
      no_baseline: whether to find none, as the user asked.
    """

    def __init__(self, push_directory: str, no_baseline: bool) -> None:
        self._push_directory, self._no_baseline = push_directory, no_baseline

    def resolve_artifacts(self, store: MetadataStore, input_dict: Artifacts) -> Artifacts:
        """Returns the model and, if nothing is served, its blessing. A blessing alone means that its model is lost."""
        models, blessings = input_dict[MODEL], input_dict[BLESSING]
        if self._no_baseline:
            return {MODEL: [], BLESSING: []}
        served = newest(self._push_directory)
        if served is not None:
            found = [model for model in models if _saved_model(model) == served.model]
            return {MODEL: found[-1:], BLESSING: []}
        withdrawn = {found.model for found in withdrawals(self._push_directory)}
        lost = {model.id for model in models if _saved_model(model) in withdrawn}
        blessing = _last(
            store, [one for one in blessings if one.get_int_custom_property("current_model_id") not in lost]
        )
        model_id = blessing[0].get_int_custom_property("current_model_id") if blessing else None
        return {MODEL: [model for model in models if model.id == model_id], BLESSING: blessing}


def _saved_model(model: types.Artifact) -> str | None:
    """Returns the identity of the artifact's SavedModel, or None if its digests are damaged."""
    try:
        return model_identity(saved_model_digests(model.uri))
    except DamageError:
        return None


def _last(store: MetadataStore, blessings: list[types.Artifact]) -> list[types.Artifact]:
    """Returns the last blessing, or an empty list. Reuse from the cache dates a blessing anew."""
    blessed = {blessing.id: blessing for blessing in blessings if is_model_blessed(blessing)}
    events = store.get_events_by_artifact_ids(list(blessed)) if blessed else []
    given = [event for event in events if event.type == mlmd.Event.OUTPUT]
    return [blessed[max(given, key=lambda event: event.execution_id).artifact_id]] if given else []
