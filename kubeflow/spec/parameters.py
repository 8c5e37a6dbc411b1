"""The parameters of a run, as the form in the UI asks for them."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from kubeflow.spec.cluster import Cluster
from pipeline.settings import PipelineConfig
from trainer.errors import UserError
from trainer.presets import PRESETS
from trainer.settings import TrainConfig

FROM_PRESET = ("epochs", "batch_size", "learning_rate", "eval_samples")  # 0 stands for the preset's value


def _parameter(default: Any, description: str) -> Any:
    return dataclasses.field(default=default, metadata={"description": description})


@dataclasses.dataclass(frozen=True)
class Parameters:
    """What may differ from run to run; a form knows no absent number, so 0 or an empty text stands for it."""

    dataset: str = _parameter("cifar10", "photo_patches (embedded), cifar10, or another TFDS name")
    preset: str = _parameter("default", f"recipe of the training: {', '.join(PRESETS)}")
    epochs: int = _parameter(0, "passes over the training images; 0: as in the preset")
    batch_size: int = _parameter(0, "images per step, over all workers; 0: as in the preset")
    learning_rate: float = _parameter(0.0, "of Adam, at its highest; 0: as in the preset")
    seed: int = _parameter(0, "of weights, order and noise")
    eval_samples: int = _parameter(0, "K, draws of z per image behind the ELBO that decides; 0: as in the preset")
    settings: dict = dataclasses.field(
        default_factory=dict, metadata={"description": "any other settings of trainer/settings.py by name"}
    )
    tune: int = _parameter(0, "trials of the Tuner before the training; 0: no Tuner")
    warm_start: bool = _parameter(False, "start from the weights of the last blessed model, if there is one")
    workers: int = _parameter(1, "pods that train together; 1: the Trainer's own")
    strategy: str = _parameter("auto", "default, mirrored, multi_worker, tpu, tpu:NAME, or auto: what there is")
    checkpoint_minutes: float = _parameter(5.0, "between checkpoints, from which a lost training goes on")
    min_elbo: str = _parameter("", "gate: nats per image; empty: better than independent pixels")
    max_regression: float = _parameter(
        1.0, "gate: nats per image that the model may be worse than the last blessed one, with 95 % confidence"
    )
    min_label_elbo: str = _parameter("", "gate: nats per image, on the images of each label; empty: no such bound")
    no_baseline: bool = _parameter(False, "gate: compare with no earlier model; the verdict says so")
    allow_shared_images: bool = _parameter(False, "accept test images that are also training images, pixel by pixel")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Parameters":
        """From JSON types, in which a whole number may have come as a float.

        Raises:
          UserError: an unknown name, or a value of another type.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name in values:
            if name not in fields:
                raise UserError(f"run parameter {name}: expected one of {', '.join(fields)}")
        return cls(**{name: _typed(name, fields[name].type, value) for name, value in values.items()})


class Task(NamedTuple):
    """What a container is asked to do."""

    node: str  # TFX's id, or VERDICT
    run_id: str
    cluster: Cluster
    config: PipelineConfig
    executor_input: Mapping[str, Any]  # of Kubeflow, which says where outputs go


def pipeline_config(parameters: Parameters, cluster: Cluster) -> PipelineConfig:
    """The run that `parameters` ask for, with everything under the cluster's volume.

    Raises:
      UserError: a value that cannot be.
    """
    if parameters.preset not in PRESETS:
        raise UserError(f"run parameter preset: expected one of {', '.join(PRESETS)}, got {parameters.preset!r}")
    given = {name: value for name in FROM_PRESET if (value := getattr(parameters, name))}
    recipe = {**PRESETS[parameters.preset].to_dict(), "seed": parameters.seed, **parameters.settings, **given}
    return PipelineConfig(
        dataset=parameters.dataset,
        train=TrainConfig.from_dict(recipe),
        root=cluster.volume.path,
        allow_shared_images=parameters.allow_shared_images,
        min_elbo=_bound("min_elbo", parameters.min_elbo),
        max_regression=parameters.max_regression,
        min_label_elbo=_bound("min_label_elbo", parameters.min_label_elbo),
        no_baseline=parameters.no_baseline,
        tune=parameters.tune,
        warm_start=parameters.warm_start,
        strategy=parameters.strategy,
        workers=parameters.workers,
        checkpoint_minutes=parameters.checkpoint_minutes,
    )


def _typed(name: str, kind: Any, value: Any) -> Any:
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        expected = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a JSON object"}
        raise UserError(f"run parameter {name}: expected {expected[kind]}, got {value!r}")
    if kind is float and not math.isfinite(value):
        raise UserError(f"run parameter {name}: expected a finite number, got {value!r}")
    return value


def _bound(name: str, text: str) -> float | None:
    """The number that `text` says; None if it is empty."""
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"run parameter {name}: expected a finite number of nats per image, or nothing, got {text!r}")
    return value
