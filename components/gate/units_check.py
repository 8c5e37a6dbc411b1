"""UnitsCheck: stops a run whose model could not be compared with the last blessed one."""

import json

from tfx import types
from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.gate.serving import newest
from components.ingest.together import one_shape
from trainer.errors import ReportedError, UserError
from trainer.settings import TrainConfig
from trainer.units import Units, read_units


@component
def UnitsCheck(
    recipe: Parameter[str],
    push_directory: Parameter[str],
    no_baseline: Parameter[bool],
    examples: InputArtifact[list[standard_artifacts.Examples]],
    baseline: InputArtifact[list[standard_artifacts.Model]] = None,  # a list may be empty, and None makes it optional
    blessing: InputArtifact[list[standard_artifacts.ModelBlessing]] = None,
):
    """Checks before training that the last blessed model, if any, is recorded and in the new model's units.

    So no training is wasted on a model that cannot be compared.

    Args:
      recipe: the new model's, as JSON.
      push_directory: folder that models are served from.
      no_baseline: whether the user asked for no comparison.
      examples: its images, whose shape counts; those of each span.
      baseline: the last blessed model, or nothing.
      blessing: its blessing, if nothing is served.

    Raises:
      ReportedError: a model is served or was blessed, and ML Metadata does not record it.
      UserError: its ELBO has other units, or it does not say which.
    """
    if no_baseline:
        return
    if not baseline:
        _check_first(push_directory, blessing)
    units = Units.of(TrainConfig(**json.loads(recipe)), one_shape(examples))
    for model in baseline:
        check_units(units, path_utils.serving_model_path(model.uri))


def check_units(ours: Units, baseline: str) -> None:
    """Compares a new model's units with those of the SavedModel at the path `baseline`.

    Raises:
      UserError: the units differ, or the baseline does not say its own.
    """
    remedy = "Use the settings that it was trained with, or start a new series with another --root"
    check_equal(ours, read_units(baseline), "the new model", "the last blessed model", remedy)


def check_equal(ours: Units, theirs: Units, our_name: str, their_name: str, remedy: str) -> None:
    """Compares the units of two models.

    Raises:
      UserError: they differ.
    """
    if theirs != ours:
        sentence = f"{their_name}'s ELBO has other units than {our_name}'s, so they cannot be compared"
        raise UserError(sentence, valid=str(ours), value=str(theirs), remedy=remedy)


def _check_first(push_directory: str, blessing: list[types.Artifact]) -> None:
    """Raises ReportedError if there is a model to compare with that ML Metadata does not record."""
    served = newest(push_directory)
    if served is None and not blessing:
        return
    what = f"version {served.version}, which is served from {push_directory}," if served else "the last blessed model"
    raise ReportedError(
        f"{what} cannot be compared with a new one, because ML Metadata records no model with its files",
        value=served and served.path,
        remedy="Restore the artifacts and metadata of its run, or pass --no-baseline to push without a comparison",
    )
