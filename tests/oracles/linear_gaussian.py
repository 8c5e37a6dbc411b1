"""Linear Gaussian models, whose evidence and posterior are known, as VAEs with the exact posterior."""

from typing import NamedTuple

import masked
import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf

from trainer.model.distributions import LOGVAR_BOUND
from trainer.model.flows import MADE, IAFStep, LocationStep
from trainer.model.likelihoods.gaussian import MIN_LOGVAR, GaussianPixels
from trainer.model.vae import VAE

PIXELS, LATENTS, IMAGES = 12, 3, 5


class LinearGaussian(NamedTuple):
    """z ~ N(0, I), x ~ N(W z + b, v I) (Tipping and Bishop, 1999)."""

    w: np.ndarray  # [D, L]
    b: np.ndarray  # [D]
    variance: float

    def posterior_precision(self):
        return np.eye(LATENTS) + self.w.T @ self.w / self.variance

    def posterior_mean(self, x):
        return (x - self.b) @ self.w @ np.linalg.inv(self.posterior_precision()) / self.variance

    def evidence(self, x):
        return scipy.stats.multivariate_normal(self.b, self.w @ self.w.T + self.variance * np.eye(PIXELS)).logpdf(x)

    def decoder(self, z):
        loc = z @ self.w.T + self.b
        return [loc, tf.fill(loc.shape, tf.constant(unclipped(np.log(self.variance), MIN_LOGVAR, 0.0), tf.float64))]


def unclipped(y, low, high):
    """The inverse of smooth_clip."""
    softplus_inverse = lambda y: y + np.log(-np.expm1(-y))  # noqa: E731
    return high - softplus_inverse(high - low - softplus_inverse(y - low))


def gaussian_encoder(loc, variance, h=None):
    """An encoder with outputs loc(x), a variance [L] that does not depend on x, and h(x)."""

    def encode(x):
        logvar = np.broadcast_to(unclipped(np.log(variance), -LOGVAR_BOUND, LOGVAR_BOUND), [len(x), LATENTS])
        return [tf.constant(value) for value in (loc(x.numpy()), logvar, *([h(x.numpy())] if h else []))]

    return encode


def correlated_model():
    """A model whose posterior is not a diagonal Gaussian, and arbitrary images."""
    rng = np.random.default_rng(0)
    mixing = np.array([[1.0, 0.6, -0.4], [0.0, 1.0, 0.8], [0.0, 0.0, 1.0]])
    w = np.linalg.qr(rng.normal(size=[PIXELS, LATENTS]))[0] @ mixing
    return LinearGaussian(w, rng.normal(size=PIXELS), 0.3), rng.normal(size=[IMAGES, PIXELS])


def linear_step(kind, matrix, order):
    """The step z' = matrix z + h, matrix triangular in that order: its hidden units stay where elu is linear.

    The units of degree 0 carry the context, and the first one of degree k carries the k-th latent.
    """
    size, offset = len(matrix), 100.0
    gates, places = np.diag(matrix), np.argsort(order)
    biases, share = ([0.0, 0.0], 1.0 - gates) if kind is IAFStep else ([0.0], np.ones(size))
    step = kind(MADE(order, size * size, 1, size, biases, np.random.default_rng(0), tf.float64))
    first, context, output = np.zeros([size, size**2]), np.eye(size, size**2), np.zeros([size**2, size])
    output[:size] = np.eye(size)
    for k in range(1, size):
        latent, later = places[k - 1], places[k:]
        first[latent, k * size] = 1.0
        output[k * size, later] = matrix[later, latent]
    output /= share
    made = step.made
    masked.assign(made.first, first)
    made.first.b.assign(np.full(size**2, offset))
    made.context.w.assign(context)
    masked.assign(made.outputs[0], output)
    made.outputs[0].b.assign(-offset * output.sum(axis=0))
    for gate in made.outputs[1:]:
        masked.assign(gate, np.zeros_like(output))
        gate.b.assign(scipy.special.logit(gates))
    return step


def exact_linear_flow(model, kinds):
    """A VAE whose posterior is the model's own, by a linear flow (Kingma et al., 2016, appendix A).

    The steps before the last are arbitrary, and so is loc; the last makes the covariance and h the mean.
    """
    turns = [slice(None, None, -1 if k % 2 else 1) for k in range(len(kinds))]
    last = turns[-1]
    factor = lambda covariance: np.linalg.cholesky(covariance[last, last])[last, last]  # noqa: E731
    target = factor(np.linalg.inv(model.posterior_precision()))
    variance = np.diag(target) ** 2 if kinds[-1] is LocationStep else np.array([4.0, 3.0, 5.0])
    covariance, matrices = np.diag(variance), []
    for kind, turn in zip(kinds[:-1], turns, strict=False):
        gates = np.array([0.9, 0.8, 0.85]) if kind is IAFStep else np.ones(LATENTS)
        below = np.array([[0.0, 0.0, 0.0], [0.4, 0.0, 0.0], [-0.3, 0.2, 0.0]])
        matrices.append((below + np.diag(gates))[turn, turn])
        covariance = matrices[-1] @ covariance @ matrices[-1].T
    matrices.append(target @ np.linalg.inv(factor(covariance)))

    def push(z, h):
        for matrix in matrices:
            z = z @ matrix.T + h
        return z

    loc = lambda x: np.tanh(x[:, :LATENTS])  # noqa: E731
    reach = np.linalg.inv(push(np.zeros([LATENTS, LATENTS]), np.eye(LATENTS)))
    h = lambda x: (model.posterior_mean(x) - push(loc(x), 0.0)) @ reach  # noqa: E731
    order = np.arange(1, LATENTS + 1)
    steps = [linear_step(kind, matrix, order[turn]) for kind, matrix, turn in zip(kinds, matrices, turns, strict=True)]
    return VAE(LATENTS, gaussian_encoder(loc, variance, h), model.decoder, GaussianPixels, steps)
