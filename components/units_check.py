"""UnitsCheck: a model is only compared with one whose ELBO is measured in the same units."""

import json
from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import component_spec, standard_artifacts
from tfx.utils import path_utils

from trainer.errors import UserError
from trainer.units import Units, read_units


class UnitsCheckSpec(component_spec.ComponentSpec):
    """What goes in: the units of the new model, as JSON, and the last blessed model, if there is one."""

    PARAMETERS: ClassVar[dict] = {"units": component_spec.ExecutionParameter(type=str)}
    INPUTS: ClassVar[dict] = {"baseline": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True)}
    OUTPUTS: ClassVar[dict] = {}


class Executor(base_executor.BaseExecutor):
    """Compares the two."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],  # noqa: ARG002
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises a UserError when the last blessed model is measured in other units, or does not say in which."""
        ours = Units(**json.loads(exec_properties["units"]))
        for baseline in input_dict.get("baseline", []):
            theirs = read_units(path_utils.serving_model_path(baseline.uri))
            if theirs != ours:
                raise UserError(
                    f"the last blessed model is measured as {theirs}, this one would be as {ours}: the two numbers "
                    "cannot be compared. Use the settings that it was trained with, or begin a new series with "
                    "another --root"
                )


class UnitsCheck(base_component.BaseComponent):
    """Refuses a baseline that cannot be compared. It stands before the training, which nobody wants to pay for first.

    Args:
      units: of the new model.
      baseline: the last blessed model, or nothing.
    """

    SPEC_CLASS = UnitsCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, units: Units, baseline: types.BaseChannel) -> None:
        super().__init__(spec=UnitsCheckSpec(units=json.dumps(units._asdict()), baseline=baseline))
