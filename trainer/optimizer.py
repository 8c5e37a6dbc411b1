"""Adam with a schedule, a bound on the gradient's norm and a running mean of the weights."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import keras  # not tf.keras, which TensorFlow Transform's import can turn into Keras 2
import tensorflow as tf

from trainer.config import TrainConfig

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # Keras's defaults

Schedule = Callable[[tf.Tensor], tf.Tensor | float]  # number of the step, from 0, to the learning rate


class Adam(tf.Module):
    """Adam (Kingma and Ba, 2015, arXiv 1412.6980, section 2), and optionally a running mean of the weights.

        m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2
        w <- w - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)
        a <- d a + (1 - d) w, and a <- w in the first step

    Every replica updates its own copy of the weights by the same gradients, so that an update is one XLA
    computation: one pass over the weights instead of ten. Keras's Adam leaves the replica for each variable, which
    cannot be compiled; the tests hold this one against it.

    Args:
      variables: the weights; copies for m, v and a are made under the strategy of the scope.
      learning_rate: from the number of the step, counted from 0.
      clip_norm: bound on the norm of all gradients together; 0 for none.
      average_decay: d; 0 for no running mean.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        learning_rate: Schedule,
        clip_norm: float,
        average_decay: float,
    ) -> None:
        super().__init__()
        self._variables = list(variables)
        self._learning_rate, self._clip_norm, self._decay = learning_rate, clip_norm, average_decay
        self.mean = [tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False) for v in variables]
        self.square = [tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False) for v in variables]
        self.average = [tf.Variable(v.read_value(), trainable=False) for v in variables if average_decay]

    def update(self, gradients: Sequence[tf.Tensor], number: tf.Tensor) -> None:
        """Step `number`, counted from 0, along `gradients`, which are those of the whole batch."""
        if self._clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        t = tf.cast(number + 1, tf.float32)
        rate = self._learning_rate(number) * tf.sqrt(1.0 - BETA_2**t) / (1.0 - BETA_1**t)
        for w, m, v, g in zip(self._variables, self.mean, self.square, gradients, strict=True):
            mean = m + (1.0 - BETA_1) * (g - m)
            square = v + (1.0 - BETA_2) * (g**2 - v)
            m.assign(mean)
            v.assign(square)
            w.assign_sub(rate * mean / (tf.sqrt(square) + EPSILON))
        decay = self._decay * tf.cast(number > 0, tf.float32)
        for a, w in zip(self.average, self._variables, strict=False):
            a.assign(decay * a + (1.0 - decay) * w)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The weights at their running mean, if there is one, and back at what they were afterwards."""
        trained = [tf.identity(w) for w, _ in zip(self._variables, self.average, strict=False)]
        _assign(self._variables, self.average)
        try:
            yield
        finally:
            _assign(self._variables, trained)


def _assign(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    for variable, value in zip(variables, values, strict=False):
        variable.assign(value)


def build_optimizer(config: TrainConfig, variables: Sequence[tf.Variable], steps_per_epoch: int) -> Adam:
    """The optimizer that `config` asks for, over all its epochs."""
    return Adam(variables, build_schedule(config, steps_per_epoch), config.clip_norm, config.ema_decay)


def build_schedule(config: TrainConfig, steps_per_epoch: int) -> Schedule:
    """The learning rate that `config` asks for."""
    if config.schedule == "constant":
        return lambda _: config.learning_rate
    steps = config.epochs * steps_per_epoch
    warmup = min(round(config.warmup_epochs * steps_per_epoch), steps - 1)
    decay = steps - warmup
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(config.learning_rate, decay)
    return keras.optimizers.schedules.CosineDecay(0.0, decay, warmup_target=config.learning_rate, warmup_steps=warmup)
