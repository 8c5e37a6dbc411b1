"""The fully connected networks of the VAE (Kingma and Welling, 2014, arXiv 1312.6114, appendix C).

A network takes an array [..., inputs] and returns a list of arrays, one for each of its `outputs`: the encoder's
are loc and logvar of q(z0|x) and the context h, the decoder's are the parameters of p(x|z).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

Network = Callable[[tf.Tensor], list[tf.Tensor]]


class Dense(tf.Module):
    """y = x W + b, with W drawn uniformly as Glorot and Bengio (2010) do and b = 0.

    W is kept with its longer side last: XLA's products on a CPU are faster along long rows, see
    docs/explanation/performance.md.

    Args:
      inputs, outputs: sizes of the last axis.
      rng: source of W; the same state gives the same weights on every worker.
    """

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator, dtype: tf.DType = tf.float32) -> None:
        super().__init__()
        limit = math.sqrt(6.0 / (inputs + outputs))
        w = rng.uniform(-limit, limit, [inputs, outputs])
        self._transposed = inputs > outputs
        self.w = tf.Variable(w.T if self._transposed else w, dtype=dtype, name="w")
        self.b = tf.Variable(tf.zeros([outputs], dtype), name="b")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """x: [..., inputs]; returns [..., outputs]."""
        if not self._transposed:
            return tf.matmul(x, self.w) + self.b
        rows = tf.reshape(x, [-1, x.shape[-1]])
        # not matmul(x, w, transpose_b=True): the same to XLA, but slow without it, as evaluation and serving are
        y = tf.transpose(tf.matmul(self.w, rows, transpose_b=True))
        return tf.reshape(y, tf.concat([tf.shape(x)[:-1], tf.shape(self.b)], axis=0)) + self.b


class MLP(tf.Module):
    """One tanh layer and linear outputs of it: y_k = W_k tanh(W x + b) + b_k.

    With outputs loc, logvar and h it is the encoder GaussianMLP, with logits the decoder BernoulliMLP.

    Args:
      inputs, hidden: sizes of the input and of the hidden layer.
      outputs: size of each output.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: Sequence[int],
        rng: np.random.Generator,
        dtype: tf.DType = tf.float32,
    ) -> None:
        super().__init__()
        self.hidden = Dense(inputs, hidden, rng, dtype)
        self.heads = [Dense(hidden, size, rng, dtype) for size in outputs]

    def __call__(self, x: tf.Tensor) -> list[tf.Tensor]:
        """x: [..., inputs]; returns a [..., size] for each of `outputs`."""
        features = tf.tanh(self.hidden(x))
        return [head(features) for head in self.heads]
