"""The fully connected networks of the VAE (Kingma and Welling, 2014, arXiv 1312.6114, appendix C)."""

import math

import numpy as np
import tensorflow as tf

from trainer.distributions import MIN_LOGVAR, Bernoulli, Gaussian


class Dense(tf.Module):
    """y = x W + b, with W drawn uniformly as Glorot and Bengio (2010) do and b = 0.

    Args:
      inputs, outputs: sizes of the last axis.
      rng: source of W; the same state gives the same weights on every worker.
    """

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator, dtype: tf.DType = tf.float32) -> None:
        super().__init__()
        limit = math.sqrt(6.0 / (inputs + outputs))
        self.w = tf.Variable(rng.uniform(-limit, limit, [inputs, outputs]), dtype=dtype, name="w")
        self.b = tf.Variable(tf.zeros([outputs], dtype), name="b")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """x: [..., inputs]; returns [..., outputs]."""
        return tf.matmul(x, self.w) + self.b


class BernoulliMLP(tf.Module):
    """Decoder p(x|z) = Bernoulli(sigmoid(W2 tanh(W1 z + b1) + b2)).

    It gives logits: a sigmoid stands only where somebody looks at an image.

    Args:
      inputs, hidden, outputs: sizes of z, of the hidden layer and of the image.
    """

    likelihood = Bernoulli

    def __init__(
        self, inputs: int, hidden: int, outputs: int, rng: np.random.Generator, dtype: tf.DType = tf.float32
    ) -> None:
        super().__init__()
        self.hidden = Dense(inputs, hidden, rng, dtype)
        self.logits = Dense(hidden, outputs, rng, dtype)

    def __call__(self, z: tf.Tensor) -> Bernoulli:
        """z: [..., inputs]; returns the distribution of x, [..., outputs]."""
        return Bernoulli(self.logits(tf.tanh(self.hidden(z))))


class GaussianMLP(tf.Module):
    """N(mean, exp(logvar)) with both linear in one tanh layer: encoder q(z|x) or decoder p(x|z).

    Args:
      inputs, hidden, outputs: sizes of the input, of the hidden layer and of the variable.
      min_logvar: lower bound of logvar, approached smoothly; none by default. A likelihood needs one.
    """

    likelihood = Gaussian

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
        *,
        min_logvar: float | None = None,
    ) -> None:
        super().__init__()
        self._min_logvar = min_logvar
        self.hidden = Dense(inputs, hidden, rng, dtype)
        self.loc = Dense(hidden, outputs, rng, dtype)
        self.logvar = Dense(hidden, outputs, rng, dtype)

    def features(self, x: tf.Tensor) -> tf.Tensor:
        """The hidden layer, [..., hidden]."""
        return tf.tanh(self.hidden(x))

    def head(self, features: tf.Tensor) -> Gaussian:
        """The distribution, [..., outputs], that follows from the hidden layer."""
        logvar = self.logvar(features)
        if self._min_logvar is not None:
            logvar = self._min_logvar + tf.nn.softplus(logvar - self._min_logvar)
        return Gaussian(self.loc(features), logvar)

    def __call__(self, x: tf.Tensor) -> Gaussian:
        """x: [..., inputs]; returns the distribution, [..., outputs]."""
        return self.head(self.features(x))


def build_decoder(name: str, inputs: int, hidden: int, outputs: int, rng: np.random.Generator) -> tf.Module:
    """The decoder called `name`.

    Raises:
      ValueError: no decoder has that name.
    """
    if name == "BernoulliMLP":
        return BernoulliMLP(inputs, hidden, outputs, rng)
    if name == "GaussianMLP":
        return GaussianMLP(inputs, hidden, outputs, rng, min_logvar=MIN_LOGVAR)
    raise ValueError(f"Unknown decoder type: {name}")
