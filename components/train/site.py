"""Where and how a training takes place, handed to `run_fn` and `tuner_fn` beside the recipe."""

import dataclasses
import importlib
from typing import Any

from trainer.settings import Execution
from trainer.workers.launch import Launch, launch_local

SITE = "site"  # its key in a component's custom_config, which no cache key includes


@dataclasses.dataclass(frozen=True)
class Site:
    """Facts of the place, not of the recipe: the result does not depend on them."""

    execution: Execution = dataclasses.field(default_factory=Execution)
    training: str = ""  # folder of the states of trainings whose model is not recorded yet
    run: str = ""  # keeps the checkpoints of concurrent runs apart
    warm_start: bool = False  # whether a base model was asked for; the model itself is an input
    apart: bool = False  # whether a single worker is launched too, for a device that this process cannot use
    launcher: str = ""  # dotted path of a function that makes a `Launch` from `launcher_settings`; empty: this machine
    launcher_settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """In JSON types; `from_dict` takes them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Site":
        """Undoes `to_dict`."""
        return cls(**{**values, "execution": Execution(**values["execution"])})

    def launch(self) -> Launch:
        """What starts the workers of a training. It is named and not passed, because a configuration is text."""
        if not self.launcher:
            return launch_local
        module, _, name = self.launcher.rpartition(".")
        return getattr(importlib.import_module(module), name)(self.launcher_settings)
