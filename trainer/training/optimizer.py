"""Adam with a learning-rate schedule, gradient clipping and a running mean of the weights."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import keras  # not tf.keras, which importing TensorFlow Transform can switch to Keras 2
import tensorflow as tf

from trainer.settings import TrainConfig

BETA, EPSILON = 0.9, 1e-7  # BETA is of both moments: docs/explanation/optimizer.md
YOUTH = 10.0  # steps after which the mean weights may keep half of what they were

Schedule = Callable[[tf.Tensor], tf.Tensor | float]  # step number, from 0, to learning rate


class Adam(tf.Module):
    """Adam (Kingma and Ba, 2015, arXiv 1412.6980, section 2), optionally with a running mean of the weights.

        m <- b m + (1 - b) g,   v <- b v + (1 - b) g^2
        w <- w - rate / sqrt(1 - b^t) m / (sqrt(v) + epsilon)
        a <- e a + (1 - e) w,   e = min(d, t' / (t' + 10)) in step t' = 0, 1, ...

    Both moments have the same b, so they are means of g and of g^2 with the same weights, and no step moves a weight by
    more than the rate, whatever the gradients are. With the usual b of v, 0.999, it can be seven rates, which made
    trainings fall.

    The mean a is young while t' is small: with d alone it would hold the first, random weights for 1 / (1 - d) steps.

    The update is TensorFlow's kernel. It is bound by memory and makes one pass over the four arrays, where XLA makes
    three. Unlike Keras's Adam, against which it is tested, it runs inside a replica.

    Args:
      variables: the weights; m, v and a are created under the strategy in scope.
      learning_rate: maps the step number, counted from 0, to the learning rate.
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
        """Takes step `number`, counted from 0, with the gradients of the whole batch."""
        if self._clip_norm:
            gradients = self._clipped(gradients)
        t, rate = tf.cast(number + 1, tf.float32), self._learning_rate(number)
        power = BETA**t
        for w, m, v, g in zip(self._variables, self.mean, self.square, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=power,
                beta2_power=power,
                lr=rate,
                beta1=BETA,
                beta2=BETA,
                epsilon=EPSILON,
                grad=g,
            )
        if self.average:
            self._follow(number)

    @tf.function(jit_compile=True)
    def _clipped(self, gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        return tf.clip_by_global_norm(gradients, self._clip_norm)[0]

    @tf.function(jit_compile=True)
    def _follow(self, number: tf.Tensor) -> None:
        steps = tf.cast(number, tf.float32)
        decay = tf.minimum(self._decay, steps / (steps + YOUTH))
        for a, w in zip(self.average, self._variables, strict=True):
            a.assign(decay * a + (1.0 - decay) * w)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Sets the weights to their running mean, if there is one, for the length of the block."""
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
    """Builds the optimizer that `config` describes."""
    return Adam(variables, build_schedule(config, steps_per_epoch), config.clip_norm, config.ema_decay)


def build_schedule(config: TrainConfig, steps_per_epoch: int) -> Schedule:
    """Builds the learning-rate schedule that `config` describes, over all its epochs."""
    if config.schedule == "constant":
        return lambda _: config.learning_rate
    steps = config.epochs * steps_per_epoch
    warmup = min(round(config.warmup_epochs * steps_per_epoch), steps - 1)
    decay = steps - warmup
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(config.learning_rate, decay)
    return keras.optimizers.schedules.CosineDecay(0.0, decay, warmup_target=config.learning_rate, warmup_steps=warmup)
