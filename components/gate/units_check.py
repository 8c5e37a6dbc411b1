"""UnitsCheck: stops a run whose model could not be compared with the last blessed one."""

import json
from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import component_spec, standard_artifacts
from tfx.utils import path_utils

from components.gate.serving import newest
from trainer.errors import ReportedError, UserError
from trainer.units import Units, read_units


class UnitsCheckSpec(component_spec.ComponentSpec):
    """The new model's units as JSON, the push directory, and the last blessed model as far as it is known."""

    PARAMETERS: ClassVar[dict] = {
        "units": component_spec.ExecutionParameter(type=str),
        "push_directory": component_spec.ExecutionParameter(type=str),
        "no_baseline": component_spec.ExecutionParameter(type=int),
    }
    INPUTS: ClassVar[dict] = {
        "baseline": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
    }
    OUTPUTS: ClassVar[dict] = {}


class Executor(base_executor.BaseExecutor):
    """The check; it has no output."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],  # noqa: ARG002
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks that the last blessed model, if there is one, is recorded and in the new model's units.

        Raises:
          ReportedError: a model is served or was blessed, and ML Metadata does not record it.
          UserError: its ELBO has other units, or it does not say which.
        """
        if exec_properties["no_baseline"]:
            return
        baselines = input_dict.get("baseline", [])
        if not baselines:
            _check_first(exec_properties["push_directory"], input_dict.get("blessing", []))
        for baseline in baselines:
            check_units(Units(**json.loads(exec_properties["units"])), path_utils.serving_model_path(baseline.uri))


class UnitsCheck(base_component.BaseComponent):
    """A check before training, so that no training is wasted on a model that cannot be compared.

    Args:
      units: units of the new model.
      baseline: the last blessed model, or nothing.
      blessing: its blessing, if nothing is served.
      push_directory: folder that models are served from.
      no_baseline: whether the user asked for no comparison.
    """

    SPEC_CLASS = UnitsCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        units: Units,
        baseline: types.BaseChannel,
        blessing: types.BaseChannel,
        push_directory: str,
        no_baseline: bool,
    ) -> None:
        super().__init__(
            spec=UnitsCheckSpec(
                units=json.dumps(units._asdict()),
                push_directory=push_directory,
                no_baseline=int(no_baseline),
                baseline=baseline,
                blessing=blessing,
            )
        )


def check_units(ours: Units, baseline: str) -> None:
    """Compares a new model's units with those of the SavedModel at the path `baseline`.

    Raises:
      UserError: the units differ, or the baseline does not say its own.
    """
    theirs = read_units(baseline)
    if theirs != ours:
        raise UserError(
            "the last blessed model's ELBO has other units than the new model's, so they cannot be compared",
            valid=str(ours),
            value=str(theirs),
            remedy="Use the settings that it was trained with, or start a new series with another --root",
        )


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
