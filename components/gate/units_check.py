"""UnitsCheck: a model is only compared with one that is known, and whose ELBO is measured in the same units."""

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
    """The units of the new model, as JSON, where models are served, and what is known of the last blessed model."""

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
    """Looks whether there can be a comparison."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],  # noqa: ARG002
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the last blessed model, if there is one and the run may not do without.

        Raises:
          ReportedError: a model is served or was blessed, and is not among the models that are recorded.
          UserError: it is measured in other units, or does not say in which.
        """
        if exec_properties["no_baseline"]:
            return
        baselines = input_dict.get("baseline", [])
        if not baselines:
            _check_first(exec_properties["push_directory"], input_dict.get("blessing", []))
        for baseline in baselines:
            check_units(Units(**json.loads(exec_properties["units"])), path_utils.serving_model_path(baseline.uri))


class UnitsCheck(base_component.BaseComponent):
    """Refuses a baseline that cannot be compared, before the training is paid for.

    Args:
      units: of the new model.
      baseline: the last blessed model, or nothing.
      blessing: of it, where nothing is served.
      push_directory: where models are served from.
      no_baseline: whether a comparison is not wanted.
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
    """Compares the units of a new model with those of the SavedModel at the path `baseline`.

    Raises:
      UserError: they differ, or the baseline does not say.
    """
    theirs = read_units(baseline)
    if theirs != ours:
        raise UserError(
            f"the last blessed model is measured as {theirs}, this one would be as {ours}: the two numbers cannot be "
            "compared. Use the settings that it was trained with, or begin a new series with another --root"
        )


def _check_first(push_directory: str, blessing: list[types.Artifact]) -> None:
    served = newest(push_directory)
    if served is None and not blessing:
        return
    what = f"version {served.version} is served from {push_directory}" if served else "a model was blessed"
    raise ReportedError(
        f"{what}, but its files are not among the models that are recorded. Without them no model can be compared, and "
        "nothing is pushed. Bring back the artifacts and metadata it was made with, or pass --no-baseline to push "
        "without a comparison"
    )
