"""Finds the model that a new one has to stand against."""

import logging

from ml_metadata import MetadataStore
from tfx import types
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.dsl.io import fileio

log = logging.getLogger(__name__)


class LastBlessedModelStrategy(LatestBlessedModelStrategy):
    """TFX's latest blessed model, among those whose files are still there.

    ML Metadata remembers models that somebody has deleted or moved; one of them would stop every later run.
    """

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        """The model and its blessing under the keys of `input_dict`, or nothing under them if there is none."""
        present = {key: [a for a in artifacts if fileio.exists(a.uri)] for key, artifacts in input_dict.items()}
        gone = sorted(a.uri for key, artifacts in input_dict.items() for a in artifacts if a not in present[key])
        if gone:
            log.info("%d earlier artifact(s) are gone and not considered, such as %s", len(gone), gone[0])
        return super().resolve_artifacts(store, present)
