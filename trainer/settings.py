"""What a training run is made of: the recipe of the model, and how the training is carried out."""

import dataclasses
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from trainer.schema import Needs, Place, SettingError, setting, table

Decoder = Literal[
    "BernoulliMLP",
    "GaussianMLP",
    "DiscretizedLogisticMLP",
    "DiscretizedLogisticMixtureMLP",
    "BernoulliResNet",
    "GaussianResNet",
    "DiscretizedLogisticResNet",
    "DiscretizedLogisticMixtureResNet",
    "BernoulliLadder",
    "GaussianLadder",
    "DiscretizedLogisticLadder",
    "DiscretizedLogisticMixtureLadder",
]
Encoder = Literal["GaussianMLP", "GaussianResNet", "GaussianLadder"]
ENCODERS, DECODERS = get_args(Encoder), get_args(Decoder)
STRATEGIES = ("auto", "default", "mirrored", "multi_worker", "tpu")

Number = Annotated[float, Field(gt=-3e38, lt=3e38)]  # of TensorFlow's float32
EVERYWHERE = Place.RECIPE | Place.COMMAND_LINE | Place.FORM
RUN = Place.COMMAND_LINE | Place.FORM
FLOW = Needs("iaf_steps", lambda recipe: recipe.iaf_steps > 0)
GATES = Needs("iaf_steps that scale z", lambda recipe: recipe.iaf_steps > 0 and not recipe.iaf_location_only)
CONVOLUTIONS = Needs("a ResNet or a ladder", lambda recipe: recipe.has_convolutions)
LADDER = Needs("a ladder", lambda recipe: recipe.is_ladder)
FLAT = Needs("a flat VAE, of MLPs or ResNets", lambda recipe: not recipe.is_ladder)
ELBO = Needs("objective elbo", lambda recipe: recipe.objective == "elbo")
COSINE = Needs("schedule cosine", lambda recipe: recipe.schedule == "cosine")


@table
class TrainConfig:
    """The recipe: model, objective, optimisation and evaluation of one run.

    Raises:
      SettingError: a value is invalid.
    """

    encoder: Encoder = setting("network of q(z0|x) and of the flow's context h", default="GaussianMLP")
    decoder: Decoder = setting("likelihood of the pixels, and the network of its parameters", default="BernoulliMLP")
    hidden_size: int = setting("width of the MLPs and of the flow's context h", default=500, needs=FLAT, ge=1)
    channels: int = setting(
        "feature maps of a ResNet at half the image's sides, twice as many at a quarter; of a ladder, at each scale",
        default=48,
        needs=CONVOLUTIONS,
        ge=1,
    )
    blocks: int = setting(
        "residual blocks of a ResNet at each of its two resolutions; of a ladder, above each stochastic layer",
        default=1,
        needs=CONVOLUTIONS,
        ge=1,
    )
    latent_size: int = setting("latents of z", default=500, needs=FLAT, ge=1)
    latent_maps: bool = setting(
        "latents and h are the ResNets' smallest feature maps, not dense outputs of them", default=False, needs=FLAT
    )
    ladder_layers: int = setting(
        "stochastic layers of a ladder at each of its three scales", default=2, needs=LADDER, ge=1
    )
    latent_channels: int = setting("latents of a cell in a stochastic layer", default=8, needs=LADDER, ge=1)
    iaf_steps: int = setting(
        "steps of the flow, of a ladder in each layer; 0 leaves the posterior Gaussian", default=3, ge=0
    )
    iaf_hidden_size: int = setting(
        "width of a step's MADE; of a ladder, feature maps of its masked convolutions", default=500, needs=FLOW, ge=1
    )
    iaf_layers: int = setting("hidden layers of a step's MADE", default=1, needs=FLOW, ge=1)
    iaf_location_only: bool = setting("steps move z and do not scale it", default=False, needs=FLOW)
    gate_bias: Number = setting("initial s: each step first keeps sigmoid(s) of z", default=1.5, needs=GATES)

    objective: Literal["elbo", "iwae"] = setting(
        "what training maximises; iwae over train_samples draws", default="elbo"
    )
    train_samples: int = setting("draws of z per image and step", default=1, ge=1)
    kl_warmup_epochs: Number = setting(
        "time over which the weight of the KL rises to 1", "epochs", default=0.0, needs=ELBO, ge=0
    )
    free_bits: Number = setting(
        "part of the KL of each latent, of a ladder of each feature map of latents, that costs nothing in training",
        "nats",
        default=0.0,
        ge=0,
    )

    batch_size: int = setting("images per step, over all workers", "", EVERYWHERE, default=128, ge=1)
    epochs: int = setting("passes over the training images", "", EVERYWHERE, default=8, ge=1)
    learning_rate: float = setting("learning rate, at its highest", "", EVERYWHERE, default=1e-3, gt=0, lt=1)
    schedule: Literal["constant", "cosine"] = setting("course of the learning rate", default="cosine")
    warmup_epochs: Number = setting(
        "time over which the learning rate rises from 0", "epochs", default=0.0, needs=COSINE, ge=0
    )
    clip_norm: Number = setting("bound on the norm of the gradient; 0 for none", default=0.0, ge=0)
    ema_decay: float = setting(
        "decay of the mean weights that are evaluated and exported; 0 for none", default=0.0, ge=0, lt=1
    )
    horizontal_flips: bool = setting("mirror every other training image", default=False)
    seed: int = setting("seed of weights, order and noise", "", EVERYWHERE, default=0, ge=0, lt=2**31)

    held_out_fraction: float = setting(
        "part of the training split that chooses the exported epoch", default=0.02, gt=0, lt=0.5
    )
    eval_samples: int = setting("draws K of z per image behind the ELBO that decides", "", EVERYWHERE, default=4, ge=1)
    importance_samples: int = setting(
        "draws of z per image behind the importance-weighted bound in the report, at least 2; 0: no such bound",
        default=256,
        ge=0,
    )

    def __post_init__(self) -> None:
        if self.is_ladder and not self.decoder.endswith("Ladder"):
            raise SettingError("decoder", f"a ladder, such as {self.likelihood}Ladder, like the encoder", self.decoder)
        if self.decoder.endswith("Ladder") and not self.is_ladder:
            raise SettingError("encoder", f"GaussianLadder with the decoder {self.decoder}", self.encoder)
        if self.iaf_steps and self.latent_size < 2 and not self.is_ladder:
            raise SettingError("latent_size", "at least 2 with iaf_steps", self.latent_size)
        if self.latent_maps and not (self.encoder.endswith("ResNet") and self.decoder.endswith("ResNet")):
            raise SettingError("latent_maps", "ResNets as encoder and decoder", f"{self.encoder}, {self.decoder}")
        if self.objective == "iwae" and (self.kl_warmup_epochs or self.free_bits):
            raise SettingError("objective", "elbo with kl_warmup_epochs or free_bits: iwae has no KL", "iwae")
        if self.schedule == "constant" and self.warmup_epochs:
            raise SettingError("warmup_epochs", "0 with a constant schedule", self.warmup_epochs)
        if not self.warmup_epochs < self.epochs:
            raise SettingError("warmup_epochs", f"less than the {self.epochs} epochs", self.warmup_epochs)
        if self.importance_samples == 1:
            raise SettingError("importance_samples", "0 for none, or at least 2", 1)

    @property
    def likelihood(self) -> str:
        """The family of p(x|z), the decoder's name without its network's."""
        return self.decoder.removesuffix("MLP").removesuffix("ResNet").removesuffix("Ladder")

    @property
    def is_ladder(self) -> bool:
        """Whether the latents are groups of feature maps at several scales."""
        return self.encoder == "GaussianLadder"

    @property
    def has_convolutions(self) -> bool:
        """Whether a network is convolutional."""
        return self.is_ladder or "ResNet" in self.encoder + self.decoder

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON types; the constructor takes them back."""
        return dataclasses.asdict(self)


@table
class Execution:
    """How a training is carried out. The result does not depend on it, so none of it is part of a cache key."""

    strategy: str = setting(
        f"tf.distribute strategy: {', '.join(STRATEGIES)}, or tpu:NAME",
        *("", RUN, "machines"),
        default="auto",
        pattern=rf"^({'|'.join(STRATEGIES)}|tpu:.+)$",
        valid=f"one of {', '.join(STRATEGIES)}, or tpu:NAME",
    )
    workers: int = setting(
        "processes that train together, on a cluster pods; 1: the pipeline's own",
        "",
        RUN,
        "machines",
        default=1,
        ge=1,
    )
    checkpoint_minutes: Number = setting(
        "longest time between checkpoints, from which a stopped or killed training resumes",
        "minutes",
        RUN,
        "machines",
        default=5.0,
        ge=0,
    )
    checkpoint_percent: Number = setting(
        "part of the time that checkpoints between the ends of epochs may take; 0: only every checkpoint_minutes",
        "percent",
        RUN,
        "machines",
        default=1.0,
        ge=0,
        le=100,
    )
    images_in_memory: int = setting(
        "largest part of the data, train or test, that training decodes into memory; a larger one is decoded into a "
        "temporary file and read from there",
        "MiB",
        RUN,
        "machines",
        default=2048,
        ge=0,
    )


def check_workers(execution: Execution, recipe: TrainConfig) -> None:
    """Checks that the processes of `execution` can train `recipe` together.

    Raises:
      SettingError: they cannot.
    """
    workers, strategy = execution.workers, execution.strategy
    if workers > 1 and strategy not in ("auto", "multi_worker"):
        raise SettingError("strategy", f"auto or multi_worker with {workers} workers", strategy)
    if workers == 1 and strategy == "multi_worker":
        raise SettingError("workers", "several with strategy multi_worker", workers, remedy="Use --workers N")
    shard_size(recipe, workers)


def shard_size(recipe: TrainConfig, replicas: int) -> int:
    """Returns the number of images per step and replica.

    Raises:
      SettingError: the loss needs a single replica; or the batch does not divide, and the failure names the sizes near
        it that do.
    """
    if recipe.free_bits and replicas > 1:
        valid = f"0 with {replicas} replicas, because the KL is averaged over the whole batch"
        remedy = "Use --workers 1 --strategy default, which has one replica"
        raise SettingError("free_bits", valid, recipe.free_bits, remedy=remedy)
    batch_size = recipe.batch_size
    if batch_size % replicas:
        below = batch_size - batch_size % replicas
        near = " or ".join(str(size) for size in (below, below + replicas) if size)
        raise SettingError("batch_size", f"a multiple of the {replicas} replicas, such as {near}", batch_size)
    return batch_size // replicas
