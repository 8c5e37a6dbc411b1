"""What a training run is made of: one frozen dataclass that checks itself."""

import dataclasses
import math
from typing import Any

from trainer.errors import UserError

LIKELIHOODS = ("Bernoulli", "Gaussian", "DiscretizedLogistic")
ENCODERS = ("GaussianMLP", "GaussianResNet")
DECODERS = tuple(likelihood + network for network in ("MLP", "ResNet") for likelihood in LIKELIHOODS)
OBJECTIVES = ("elbo", "iwae")
MAX_FLOAT = 3e38  # of TensorFlow's float32
SCHEDULES = ("constant", "cosine")
STRATEGIES = ("auto", "default", "mirrored", "multi_worker", "tpu")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Model, objective, optimisation and evaluation of one run.

    Raises:
      ConfigError: a value that cannot be; the message names the setting, what was expected and what came.
    """

    encoder: str = "GaussianMLP"
    decoder: str = "BernoulliMLP"  # likelihood of the pixels, and the network to its parameters
    hidden_size: int = 500  # of the MLPs, and of the flow's context h
    channels: int = 48  # of a ResNet at 16x16; twice as many at 8x8
    blocks: int = 1  # of a ResNet, at each of the two resolutions
    latent_size: int = 500
    latent_maps: bool = False  # of ResNets: latents and h are 8x8 feature maps, not dense outputs of them
    iaf_steps: int = 3
    iaf_hidden_size: int = 500
    iaf_layers: int = 1  # hidden layers of a step's MADE
    iaf_location_only: bool = False  # steps that move z and do not scale it
    gate_bias: float = 1.5  # s starts near it: each IAF step first keeps sigmoid(1.5) = 82 % of z

    objective: str = "elbo"  # what training maximises: elbo, or iwae over train_samples draws
    train_samples: int = 1  # draws of z per image and step
    kl_warmup_epochs: float = 0.0  # over which the weight of the KL rises to 1
    free_bits: float = 0.0  # nats of each latent's share of the KL that cost nothing in training

    batch_size: int = 128
    epochs: int = 8
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup_epochs: float = 0.0  # over which the learning rate rises from 0
    clip_norm: float = 0.0  # bound on the gradient's norm; 0 for none
    ema_decay: float = 0.0  # of the running mean of the weights, which is evaluated and exported; 0 for none
    horizontal_flips: bool = False  # every other training image is shown mirrored
    seed: int = 0

    held_out_fraction: float = 0.02  # of the training split, for choosing the epoch that is exported
    eval_samples: int = 4  # K, samples of z per image behind the number that decides
    importance_samples: int = 0  # of the importance-weighted bound in the final report; 0 leaves it out

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, expected = getattr(self, field.name), field.type
            number = expected is float and isinstance(value, (int, float)) and not isinstance(value, bool)
            if type(value) is not expected and not number:
                raise ConfigError(field.name, f"a value of type {expected.__name__}", value)  # type: ignore[union-attr]
            if expected is float and not abs(value) < MAX_FLOAT:
                raise ConfigError(field.name, "a finite number", value)
        self._check_choices()
        self._check_ranges()

    def _check_choices(self) -> None:
        _one_of("encoder", self.encoder, ENCODERS)
        _one_of("decoder", self.decoder, DECODERS)
        _one_of("objective", self.objective, OBJECTIVES)
        _one_of("schedule", self.schedule, SCHEDULES)
        if self.objective == "iwae" and (self.kl_warmup_epochs or self.free_bits):
            raise ConfigError("objective", "elbo with kl_warmup_epochs or free_bits, which iwae has no KL for", "iwae")
        if self.latent_maps:
            self._check_latent_maps()
        if self.schedule == "constant" and self.warmup_epochs:
            raise ConfigError("warmup_epochs", "0 with a constant schedule", self.warmup_epochs)

    def _check_latent_maps(self) -> None:
        if not (self.encoder.endswith("ResNet") and self.decoder.endswith("ResNet")):
            raise ConfigError("latent_maps", "ResNets as encoder and decoder", f"{self.encoder}, {self.decoder}")
        for name in ("latent_size", "hidden_size"):
            if getattr(self, name) % 64:
                raise ConfigError(name, "a multiple of 64, cells of an 8x8 map, with latent_maps", getattr(self, name))

    def _check_ranges(self) -> None:
        counts = ("hidden_size", "channels", "blocks", "iaf_hidden_size", "iaf_layers", "train_samples", "batch_size")
        for name in (*counts, "epochs", "eval_samples"):
            _at_least(name, getattr(self, name), 1)
        _at_least("latent_size", self.latent_size, 2 if self.iaf_steps else 1)
        for name in ("iaf_steps", "kl_warmup_epochs", "free_bits", "warmup_epochs", "clip_norm", "importance_samples"):
            _at_least(name, getattr(self, name), 0)
        if self.importance_samples == 1:
            raise ConfigError("importance_samples", "0 for none, or at least 2", 1)
        if not self.warmup_epochs < self.epochs:
            raise ConfigError("warmup_epochs", f"less than the {self.epochs} epochs", self.warmup_epochs)
        if not 0 <= self.seed < 2**31:
            raise ConfigError("seed", "a number from 0 to 2^31 - 1", self.seed)
        if not 0 < self.learning_rate < 1:
            raise ConfigError("learning_rate", "a number between 0 and 1", self.learning_rate)
        if not 0 <= self.ema_decay < 1:
            raise ConfigError("ema_decay", "a number from 0 to below 1", self.ema_decay)
        if not 0 < self.held_out_fraction < 0.5:
            raise ConfigError("held_out_fraction", "a number between 0 and 0.5", self.held_out_fraction)

    @property
    def likelihood(self) -> str:
        """The family of p(x|z), the decoder's name without its network's."""
        return self.decoder.removesuffix("MLP").removesuffix("ResNet")

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


def check_finite(config: Any) -> None:
    """Raises ConfigError unless every float of the dataclass `config` is a finite number; one may also be None."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(field.name, "a finite number", value)


def check_strategy(name: str) -> None:
    """Raises ConfigError unless `name` is one of STRATEGIES, or tpu: with the name of a TPU."""
    if name not in STRATEGIES and not (name.startswith("tpu:") and len(name) > len("tpu:")):
        raise ConfigError("strategy", f"one of {', '.join(STRATEGIES)}, or tpu:NAME", name)


def check_workers(workers: int, strategy: str, config: TrainConfig) -> None:
    """Raises ConfigError unless so many processes can train `config` together with `strategy`."""
    check_strategy(strategy)
    if workers < 1:
        raise ConfigError("workers", "at least 1", workers)
    if workers > 1 and strategy not in ("auto", "multi_worker"):
        raise ConfigError("strategy", f"auto or multi_worker with {workers} workers", strategy)
    if workers == 1 and strategy == "multi_worker":
        raise ConfigError("workers", "several with strategy multi_worker: use --workers N", workers)
    if workers > 1 and config.free_bits:
        raise ConfigError(
            "free_bits",
            f"0 with {workers} workers, none of which knows the KL of the batch (--workers 1 --strategy default does)",
            config.free_bits,
        )
    shard_size(config.batch_size, workers)


def shard_size(batch_size: int, replicas: int) -> int:
    """Images of a step for each replica.

    Raises:
      ConfigError: the batch does not divide; the message names the sizes near it that do.
    """
    if batch_size % replicas:
        below = batch_size - batch_size % replicas
        near = " or ".join(str(size) for size in (below, below + replicas) if size)
        raise ConfigError("batch_size", f"a multiple of the {replicas} replicas, such as {near}", batch_size)
    return batch_size // replicas


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(name, f"one of {', '.join(choices)}", value)


def _at_least(name: str, value: float, bound: int) -> None:
    if value < bound:
        raise ConfigError(name, f"at least {bound}", value)
