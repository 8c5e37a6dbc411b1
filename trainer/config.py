"""What a training run is made of: one frozen dataclass that checks itself."""

import dataclasses
import math
from typing import Any

from trainer.errors import UserError

ENCODERS = ("GaussianMLP",)
DECODERS = ("BernoulliMLP", "GaussianMLP")
SCHEDULES = ("constant", "cosine")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Model, optimisation and evaluation of one run.

    Raises:
      ConfigError: a value that cannot be; the message names the setting, what was expected and what came.
    """

    encoder: str = "GaussianMLP"
    decoder: str = "BernoulliMLP"
    hidden_size: int = 500
    latent_size: int = 500
    iaf_steps: int = 3
    iaf_hidden_size: int = 500
    gate_bias: float = 1.5  # s starts near it: each IAF step first keeps sigmoid(1.5) = 82 % of z
    batch_size: int = 128
    epochs: int = 8
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    held_out_fraction: float = 0.02  # of the training split, for choosing the epoch that is exported
    eval_samples: int = 4  # K, samples of z per image behind the number that decides
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            expected: tuple[type, ...] = (int, float) if field.type is float else (field.type,)  # type: ignore[assignment]
            if not isinstance(value, expected) or isinstance(value, bool):
                raise ConfigError(field.name, f"a value of type {field.type.__name__}", value)  # type: ignore[union-attr]
        _one_of("encoder", self.encoder, ENCODERS)
        _one_of("decoder", self.decoder, DECODERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        for name in ("hidden_size", "iaf_hidden_size", "batch_size", "epochs", "eval_samples"):
            _at_least(name, getattr(self, name), 1)
        _at_least("latent_size", self.latent_size, 2 if self.iaf_steps else 1)
        _at_least("iaf_steps", self.iaf_steps, 0)
        if not 0 <= self.seed < 2**31:
            raise ConfigError("seed", "a number from 0 to 2^31 - 1", self.seed)
        if not math.isfinite(self.gate_bias):
            raise ConfigError("gate_bias", "a finite number", self.gate_bias)
        if not 0 < self.learning_rate < 1:
            raise ConfigError("learning_rate", "a number between 0 and 1", self.learning_rate)
        if not 0 < self.held_out_fraction < 0.5:
            raise ConfigError("held_out_fraction", "a number between 0 and 0.5", self.held_out_fraction)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON types; `from_dict` takes them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "TrainConfig":
        """The configuration of `settings`; what is missing keeps its default, what is unknown raises."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in settings:
            if name not in known:
                raise ConfigError("setting", f"one of {', '.join(known)}", name)
        return cls(**settings)


class ConfigError(UserError, ValueError):
    """A setting with a value that cannot be."""

    def __init__(self, name: str, expected: str, value: Any) -> None:
        super().__init__(f"{name}: expected {expected}, got {value!r}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(name, f"one of {', '.join(choices)}", value)


def _at_least(name: str, value: int, bound: int) -> None:
    if value < bound:
        raise ConfigError(name, f"at least {bound}", value)
