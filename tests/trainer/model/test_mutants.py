"""Each mathematical error of the model's original text breaks a law when it is put back."""

import laws
import numpy as np
import pytest
import tensorflow as tf

import trainer.model.distributions
import trainer.model.objective
import trainer.model.vae
from trainer.model.flows import MADE, FlowResult, IAFStep, LocationStep, MaskedDense
from trainer.model.likelihoods import Bernoulli, GaussianPixels
from trainer.model.objective import ELBO, Draw
from trainer.model.vae import VAE, Posterior


def unmasked_flow(put):
    with_masks_of(put, lambda rows, columns: np.ones([len(rows), len(columns)]))


def masks_one_degree_too_generous(put):
    with_masks_of(put, lambda rows, columns: (rows[:, None] <= columns + 1).astype(float))


def with_masks_of(put, mask):
    def call(self, x):
        blocks = zip(self.w, self._blocks, strict=True)
        return tf.concat([x[..., rows] @ (w * mask(*degrees)) for w, (rows, *degrees) in blocks], -1) + self.b

    put(MaskedDense, "__call__", call)


def every_step_in_the_same_order(put):
    put(trainer.model.vae, "MADE", lambda order, *rest: MADE(np.sort(order), *rest))


def gates_in_reverse(put):
    on_flows(put, lambda log_gates: tf.reverse(log_gates, axis=[-1]))


def log_determinant_summed_over_the_batch(put):
    on_flows(put, lambda log_gates: tf.zeros_like(log_gates) + tf.reduce_sum(log_gates, axis=-2, keepdims=True))


def log_determinant_with_the_other_sign(put):
    on_flows(put, lambda log_gates: -log_gates)


def log_of_the_sigmoid(put):
    instead_of_log_sigmoid(put, lambda s: tf.math.log(tf.sigmoid(s)))


def gate_before_its_sigmoid_in_the_log_determinant(put):
    instead_of_log_sigmoid(put, lambda s: s)


def gate_without_its_log_in_the_log_determinant(put):
    instead_of_log_sigmoid(put, tf.sigmoid)


def standard_deviation_is_the_variance(put):
    put(VAE, "reparameterize", lambda self, q0, eps: q0.loc + tf.exp(q0.logvar) * eps)


def log_q_in_reverse(put):
    original = VAE.infer

    def infer(self, x, eps):
        z, log_q = original(self, x, eps)
        return Posterior(z, tf.reverse(log_q, axis=[-1]))

    put(VAE, "infer", infer)


def log_q_summed_over_the_batch(put):
    original = VAE.infer

    def infer(self, x, eps):
        z, log_q = original(self, x, eps)
        return Posterior(z, tf.zeros_like(log_q) + tf.reduce_sum(log_q, axis=-2, keepdims=True))

    put(VAE, "infer", infer)


def z_averaged_over_the_batch(put):
    original = VAE.infer

    def infer(self, x, eps):
        z, log_q = original(self, x, eps)
        return Posterior(tf.zeros_like(z) + tf.reduce_mean(z, axis=-2, keepdims=True), log_q)

    put(VAE, "infer", infer)


def generation_through_the_posteriors_flow(put):
    def sample(self, eps):
        for step in self.iaf:
            eps = step(eps, tf.zeros([len(eps), *self.encoder.heads[2].b.shape], eps.dtype)).z
        return self.decode(eps).mean()

    put(VAE, "sample", sample)


def log_normal_without_its_minus(put):
    original = trainer.model.distributions.log_normal
    for module in (trainer.model.distributions, trainer.model.vae, trainer.model.objective):
        put(module, "log_normal", lambda *args: -original(*args))


def log_normal_without_its_minus_in_the_prior_alone(put):
    original = trainer.model.objective.log_normal
    put(trainer.model.objective, "log_normal", lambda *args: -original(*args))


def kl_averaged_over_the_latents(put):
    def elbo(self):
        kl = tf.reduce_mean(self.kl, axis=-1)
        return ELBO(self.reconstruction - kl, self.reconstruction, kl)

    put(Draw, "elbo", elbo)


def elbos_averaged_before_the_logarithm(put):
    put(trainer.model.objective, "importance_weighted_bound", lambda log_weights: tf.reduce_mean(log_weights, axis=0))


def weights_summed_and_not_averaged(put):
    put(
        trainer.model.objective,
        "importance_weighted_bound",
        lambda log_weights: tf.reduce_logsumexp(log_weights, axis=0),
    )


def double_sigmoid(put):
    put(Bernoulli, "from_network", staticmethod(lambda logits: Bernoulli(tf.sigmoid(logits))))


def reconstruction_averaged_over_the_pixels(put):
    for kind in (Bernoulli, GaussianPixels):
        original = kind.log_prob
        put(kind, "log_prob", lambda self, x, original=original: original(self, x) / x.shape[-1])


def on_flows(put, change):
    """Changes the log gates of both steps."""
    for kind in (IAFStep, LocationStep):
        original = kind.__call__

        def call(self, z, h, original=original):
            z, log_gates = original(self, z, h)
            return FlowResult(z, change(log_gates))

        put(kind, "__call__", call)


def instead_of_log_sigmoid(put, log_gate):
    def call(self, z, h):
        m, s = self.made(z, h)
        gate = tf.sigmoid(s)
        return FlowResult(gate * z + (1.0 - gate) * m, log_gate(s))

    put(IAFStep, "__call__", call)


MUTANTS = [
    unmasked_flow,
    masks_one_degree_too_generous,
    every_step_in_the_same_order,
    gates_in_reverse,
    log_determinant_summed_over_the_batch,
    log_determinant_with_the_other_sign,
    log_of_the_sigmoid,
    gate_before_its_sigmoid_in_the_log_determinant,
    gate_without_its_log_in_the_log_determinant,
    standard_deviation_is_the_variance,
    log_q_in_reverse,
    log_q_summed_over_the_batch,
    z_averaged_over_the_batch,
    generation_through_the_posteriors_flow,
    log_normal_without_its_minus,
    log_normal_without_its_minus_in_the_prior_alone,
    kl_averaged_over_the_latents,
    elbos_averaged_before_the_logarithm,
    weights_summed_and_not_averaged,
    double_sigmoid,
    reconstruction_averaged_over_the_pixels,
]


def holds(law):
    try:
        law()
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_breaks_a_law(mutant, monkeypatch):
    mutant(monkeypatch.setattr)
    assert not all(holds(law) for law in laws.LAWS)
