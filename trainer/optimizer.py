"""Adam with a schedule, clipped gradients and a running mean of the weights: all Keras's own."""

import contextlib
from collections.abc import Iterator

import keras  # not tf.keras, which TensorFlow Transform's import can turn into Keras 2
import tensorflow as tf

from trainer.config import TrainConfig


def build_optimizer(config: TrainConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The optimizer that `config` asks for, over all its epochs."""
    return keras.optimizers.Adam(
        _learning_rate(config, steps_per_epoch),
        global_clipnorm=config.clip_norm or None,
        use_ema=config.ema_decay > 0,
        ema_momentum=config.ema_decay,
    )


def _learning_rate(
    config: TrainConfig, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if config.schedule == "constant":
        return config.learning_rate
    steps = config.epochs * steps_per_epoch
    warmup = min(round(config.warmup_epochs * steps_per_epoch), steps - 1)
    decay = steps - warmup
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(config.learning_rate, decay)
    return keras.optimizers.schedules.CosineDecay(0.0, decay, warmup_target=config.learning_rate, warmup_steps=warmup)


@contextlib.contextmanager
def averaged_weights(optimizer: keras.optimizers.Optimizer, variables: list[tf.Variable]) -> Iterator[None]:
    """`variables` at their running mean, if the optimizer keeps one, and back at what they were afterwards."""
    trained = [tf.identity(variable) for variable in variables]
    optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)
