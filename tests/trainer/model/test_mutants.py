"""Each mathematical error of the model's original text breaks a law when it is put back."""

import ladder_laws
import laws
import numpy as np
import pytest
import tensorflow as tf

import trainer.model.distributions
import trainer.model.ladder
import trainer.model.objective
import trainer.model.vae
from trainer.model.distributions import log_normal
from trainer.model.flows import MADE, FlowResult, IAFStep, LocationStep, MaskedDense
from trainer.model.ladder import Ladder
from trainer.model.ladder_blocks import LayerDraw, MaskedConv, StochasticLayer
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
    for module in (trainer.model.distributions, trainer.model.vae):
        put(module, "log_normal", lambda *args: -original(*args))


def log_normal_without_its_minus_in_the_prior_alone(put):
    original = VAE.joint

    def joint(self, x, eps):
        drawn = original(self, x, eps)
        return drawn._replace(log_prior=-drawn.log_prior)

    put(VAE, "joint", joint)


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


def a_cell_that_sees_itself_and_its_successors(put):
    put(MaskedConv, "kernel", lambda self: self.w)


def masks_that_never_read_backwards(put):
    original = MaskedConv.__init__

    def init(self, degree_in, degree_out, backwards, *rest, **options):
        original(self, degree_in, degree_out, False, *rest, **options)

    put(MaskedConv, "__init__", init)


def every_layers_flow_in_the_same_order(put):
    original = trainer.model.ladder.MaskedConvs
    put(trainer.model.ladder, "MaskedConvs", lambda channels, backwards, *rest: original(channels, False, *rest))


def a_prior_without_its_volume(put):
    original = StochasticLayer.infer

    def infer(self, prior, below, eps):
        z, log_q, log_prior = original(self, prior, below, eps)
        return LayerDraw(z, log_q, log_prior + 0.5 * prior.p.logvar)

    put(StochasticLayer, "infer", infer)


def a_kl_without_the_flow(put):
    original = StochasticLayer.infer

    def infer(self, prior, below, eps):
        z, _, log_prior = original(self, prior, below, eps)
        loc, logvar, _ = tf.split(prior.q + below, [eps.shape[-1], eps.shape[-1], -1], axis=-1)
        u = loc + tf.exp(0.5 * logvar) * eps
        return LayerDraw(z, log_normal(u, loc, logvar) - 0.5 * prior.p.logvar, log_prior)

    put(StochasticLayer, "infer", infer)


def samples_with_the_variance(put):
    def sample(self, eps):
        noise = self._as_maps(eps)
        draw = lambda i, prior: prior.p.loc + tf.exp(prior.p.logvar) * noise[i]  # noqa: E731
        return self._descend(draw, eps).mean()

    put(Ladder, "sample", sample)


def samples_of_independent_layers(put):
    put(Ladder, "sample", lambda self, eps: ladder_laws.generate(self, eps)[1].mean())


def an_image_that_reaches_the_finest_scale_only(put):
    original = Ladder._ascend

    def ascend(self, x):
        *above, last = original(self, x)
        return [*map(tf.zeros_like, above), last]

    put(Ladder, "_ascend", ascend)


def layers_that_take_nothing_of_their_latents(put):
    original = StochasticLayer.absorb
    put(StochasticLayer, "absorb", lambda self, h, prior, z: original(self, h, prior, tf.zeros_like(z)))


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


LADDER_MUTANTS = [
    a_cell_that_sees_itself_and_its_successors,
    masks_that_never_read_backwards,
    every_layers_flow_in_the_same_order,
    a_prior_without_its_volume,
    a_kl_without_the_flow,
    samples_with_the_variance,
    samples_of_independent_layers,
    an_image_that_reaches_the_finest_scale_only,
    layers_that_take_nothing_of_their_latents,
]


def holds(law):
    try:
        law()
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    ("mutant", "broken"),
    [*((mutant, laws.LAWS) for mutant in MUTANTS), *((mutant, ladder_laws.LAWS) for mutant in LADDER_MUTANTS)],
    ids=lambda mutant: getattr(mutant, "__name__", ""),
)
def test_a_mutant_breaks_a_law(mutant, broken, monkeypatch):
    mutant(monkeypatch.setattr)
    assert not all(holds(law) for law in broken)
