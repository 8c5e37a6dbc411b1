"""What a training run is made of: the recipe of the model, and how the training is carried out."""

import dataclasses
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Gt, Lt
from pydantic import Field

from trainer.schema import Needs, Place, Setting, SettingError, table

Encoder = Literal["GaussianMLP", "GaussianResNet"]
Decoder = Literal[
    "BernoulliMLP",
    "GaussianMLP",
    "DiscretizedLogisticMLP",
    "BernoulliResNet",
    "GaussianResNet",
    "DiscretizedLogisticResNet",
]
ENCODERS, DECODERS = get_args(Encoder), get_args(Decoder)
STRATEGIES = ("auto", "default", "mirrored", "multi_worker", "tpu")
MAX_FLOAT = 3e38  # of TensorFlow's float32

Number = Annotated[float, Gt(-MAX_FLOAT), Lt(MAX_FLOAT)]
EVERYWHERE = Place.RECIPE | Place.COMMAND_LINE | Place.FORM
FLOW = Needs("iaf_steps", lambda recipe: recipe.iaf_steps > 0)
RESNET = Needs("a ResNet as encoder or decoder", lambda recipe: "ResNet" in recipe.encoder + recipe.decoder)
ELBO = Needs("objective elbo", lambda recipe: recipe.objective == "elbo")
COSINE = Needs("schedule cosine", lambda recipe: recipe.schedule == "cosine")
GATES = Needs("iaf_steps that scale z", lambda recipe: recipe.iaf_steps > 0 and not recipe.iaf_location_only)


@table
class TrainConfig:
    """The recipe: model, objective, optimisation and evaluation of one run.

    Raises:
      SettingError: a value is invalid.
    """

    encoder: Annotated[Encoder, Setting("network of q(z0|x) and of the flow's context h")] = "GaussianMLP"
    decoder: Annotated[Decoder, Setting("likelihood of the pixels, and the network of its parameters")] = "BernoulliMLP"
    hidden_size: Annotated[int, Ge(1), Setting("of the MLPs, and of the flow's context h", "units")] = 500
    channels: Annotated[int, Ge(1), Setting("of a ResNet at 16x16; twice as many at 8x8", needs=RESNET)] = 48
    blocks: Annotated[int, Ge(1), Setting("of a ResNet, at each of its two resolutions", needs=RESNET)] = 1
    latent_size: Annotated[int, Ge(1), Setting("size of z", "latents")] = 500
    latent_maps: Annotated[bool, Setting("latents and h are 8x8 feature maps, not dense outputs of them")] = False
    iaf_steps: Annotated[int, Ge(0), Setting("steps of the flow; 0 leaves the posterior Gaussian")] = 3
    iaf_hidden_size: Annotated[int, Ge(1), Setting("of a step's MADE", "units", needs=FLOW)] = 500
    iaf_layers: Annotated[int, Ge(1), Setting("hidden layers of a step's MADE", needs=FLOW)] = 1
    iaf_location_only: Annotated[bool, Setting("steps move z and do not scale it", needs=FLOW)] = False
    gate_bias: Annotated[Number, Setting("s starts near it: each step first keeps sigmoid(s) of z", needs=GATES)] = 1.5

    objective: Annotated[Literal["elbo", "iwae"], Setting("what training maximises; iwae over train_samples")] = "elbo"
    train_samples: Annotated[int, Ge(1), Setting("draws of z per image and step", "draws")] = 1
    kl_warmup_epochs: Annotated[
        Number, Ge(0), Setting("over which the weight of the KL rises to 1", "epochs", needs=ELBO)
    ] = 0.0
    free_bits: Annotated[Number, Ge(0), Setting("of each latent's KL that cost nothing in training", "nats")] = 0.0

    batch_size: Annotated[int, Ge(1), Setting("per step, over all workers", "images", EVERYWHERE)] = 128
    epochs: Annotated[int, Ge(1), Setting("passes over the training images", "epochs", EVERYWHERE)] = 8
    learning_rate: Annotated[float, Gt(0), Lt(1), Setting("of Adam, at its highest", "", EVERYWHERE)] = 1e-3
    schedule: Annotated[Literal["constant", "cosine"], Setting("of the learning rate")] = "cosine"
    warmup_epochs: Annotated[
        Number, Ge(0), Setting("over which the learning rate rises from 0", "epochs", needs=COSINE)
    ] = 0.0
    clip_norm: Annotated[Number, Ge(0), Setting("bound on the norm of the gradient; 0 for none")] = 0.0
    ema_decay: Annotated[
        float, Ge(0), Lt(1), Setting("of the running mean of the weights, which is evaluated and exported; 0 for none")
    ] = 0.0
    horizontal_flips: Annotated[bool, Setting("every other training image is mirrored")] = False
    seed: Annotated[int, Ge(0), Lt(2**31), Setting("of weights, order and noise", "", EVERYWHERE)] = 0

    held_out_fraction: Annotated[
        float, Gt(0), Lt(0.5), Setting("of the training split, which chooses the exported epoch")
    ] = 0.02
    eval_samples: Annotated[
        int, Ge(1), Setting("K, of z per image behind the ELBO that decides", "draws", EVERYWHERE)
    ] = 4
    importance_samples: Annotated[
        int, Ge(0), Setting("of the importance-weighted bound in the report; 0 leaves it out", "draws")
    ] = 0

    def __post_init__(self) -> None:
        if self.iaf_steps and self.latent_size < 2:
            raise SettingError("latent_size", "at least 2 with iaf_steps", self.latent_size)
        if self.latent_maps:
            self._check_latent_maps()
        if self.objective == "iwae" and (self.kl_warmup_epochs or self.free_bits):
            raise SettingError("objective", "elbo with kl_warmup_epochs or free_bits: iwae has no KL", "iwae")
        if self.schedule == "constant" and self.warmup_epochs:
            raise SettingError("warmup_epochs", "0 with a constant schedule", self.warmup_epochs)
        if not self.warmup_epochs < self.epochs:
            raise SettingError("warmup_epochs", f"less than the {self.epochs} epochs", self.warmup_epochs)
        if self.importance_samples == 1:
            raise SettingError("importance_samples", "0 for none, or at least 2", 1)

    def _check_latent_maps(self) -> None:
        if not (self.encoder.endswith("ResNet") and self.decoder.endswith("ResNet")):
            raise SettingError("latent_maps", "ResNets as encoder and decoder", f"{self.encoder}, {self.decoder}")
        for name in ("latent_size", "hidden_size"):
            if getattr(self, name) % 64:
                raise SettingError(name, "a multiple of 64, cells of an 8x8 map, with latent_maps", getattr(self, name))

    @property
    def likelihood(self) -> str:
        """The family of p(x|z), the decoder's name without its network's."""
        return self.decoder.removesuffix("MLP").removesuffix("ResNet")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON types; the constructor takes them back."""
        return dataclasses.asdict(self)


@table
class Execution:
    """How a training is carried out. The result does not depend on it, so none of it is part of a cache key."""

    strategy: Annotated[
        str,
        Field(pattern=rf"^({'|'.join(STRATEGIES)}|tpu:.+)$"),
        Setting(
            f"of tf.distribute: {', '.join(STRATEGIES)}, or tpu:NAME",
            places=Place.COMMAND_LINE | Place.FORM,
            group="machines",
            valid=f"one of {', '.join(STRATEGIES)}, or tpu:NAME",
        ),
    ] = "auto"
    workers: Annotated[
        int,
        Ge(1),
        Setting(
            "that train together; 1: the pipeline's own process",
            "processes, on a cluster pods",
            Place.COMMAND_LINE | Place.FORM,
            "machines",
        ),
    ] = 1
    checkpoint_minutes: Annotated[
        Number,
        Ge(0),
        Setting(
            "between checkpoints, from which a stopped or killed training resumes",
            "minutes",
            Place.COMMAND_LINE | Place.FORM,
            "machines",
        ),
    ] = 5.0


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
    if workers > 1 and recipe.free_bits:
        raise SettingError(
            "free_bits",
            f"0 with {workers} workers, because the KL is averaged over the whole batch",
            recipe.free_bits,
            remedy="Use --workers 1 --strategy default",
        )
    shard_size(recipe.batch_size, workers)


def shard_size(batch_size: int, replicas: int) -> int:
    """Images of a step for each replica.

    Raises:
      SettingError: the batch does not divide; the failure names the sizes near it that do.
    """
    if batch_size % replicas:
        below = batch_size - batch_size % replicas
        near = " or ".join(str(size) for size in (below, below + replicas) if size)
        raise SettingError("batch_size", f"a multiple of the {replicas} replicas, such as {near}", batch_size)
    return batch_size // replicas
