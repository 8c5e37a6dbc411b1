"""The fully connected networks of the VAE (Kingma and Welling, 2014, arXiv 1312.6114, appendix C).

A network maps an array [..., inputs] to a list of arrays, one for each of its `outputs`: for the encoder these are loc
and logvar of q(z0|x) and the context h, for the decoder the parameters of p(x|z).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

Network = Callable[[tf.Tensor], list[tf.Tensor]]


class Dense(tf.Module):
    """y = x W + b, with a uniform initial W (Glorot and Bengio, 2010) and b = 0.

    W is stored with its longer side last, because XLA multiplies faster along long rows on a CPU
    (docs/explanation/performance.md).

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
        """Maps x [..., inputs] to [..., outputs]."""
        if not self._transposed:
            return tf.matmul(x, self.w) + self.b
        rows = tf.reshape(x, [-1, x.shape[-1]])
        # matmul(x, w, transpose_b=True) is slow without XLA, which evaluation and serving do not use
        y = tf.transpose(tf.matmul(self.w, rows, transpose_b=True))
        return tf.reshape(y, tf.concat([tf.shape(x)[:-1], tf.shape(self.b)], axis=0)) + self.b


class MLP(tf.Module):
    """One tanh layer with linear outputs: y_k = W_k tanh(W x + b) + b_k.

    With the outputs loc, logvar and h it is the encoder GaussianMLP; with logits it is the decoder BernoulliMLP.

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
        """Maps x [..., inputs] to one [..., size] per output."""
        features = tf.tanh(self.hidden(x))
        return [head(features) for head in self.heads]
