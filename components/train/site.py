"""The place of a training, which `run_fn` and `tuner_fn` get beside the recipe."""

import dataclasses
import importlib
from typing import Any

from trainer.settings import Execution
from trainer.workers.launch import Launch, launch_local

SITE = "site"  # its key in a component's custom_config; cache keys leave it out


@dataclasses.dataclass(frozen=True)
class Site:
    """Where and how a training runs.

    Its result depends on none of this, except that with `may_start_cold` there is one in place of an error. The cache
    key of the Trainer tells the two apart (`pipeline/dag.py`).
    """

    execution: Execution = dataclasses.field(default_factory=Execution)
    training: str = ""  # folder of the states of trainings whose model is not recorded yet
    run: str = ""  # start of this run's state names, which separates concurrent runs
    warm_start: bool = False  # whether a base model is wanted; the model itself is an input
    may_start_cold: bool = False  # whether a base model whose weights do not fit the recipe is left out
    apart: bool = False  # whether a single worker is also launched, for a device that this process does not have
    launcher: str = ""  # dotted path of a function that makes a `Launch` from `launcher_settings`; empty: this machine
    launcher_settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON types; `from_dict` takes them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Site":
        """Undoes `to_dict`."""
        return cls(**{**values, "execution": Execution(**values["execution"])})

    def launch(self) -> Launch:
        """Returns the function that starts the workers. The site holds its name, because a configuration is text."""
        if not self.launcher:
            return launch_local
        module, _, name = self.launcher.rpartition(".")
        return getattr(importlib.import_module(module), name)(self.launcher_settings)
