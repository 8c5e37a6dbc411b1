"""The mathematics of the model as laws, each against an oracle of its own.

A law is a function without arguments that builds a small float64 model, runs it eagerly and raises AssertionError.
"""

import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf
from linear_gaussian import LinearGaussian, correlated_model, exact_linear_flow, gaussian_encoder

from trainer.model import objective
from trainer.model.build import build
from trainer.model.flows import MADE, IAFStep, LocationStep
from trainer.model.likelihoods import Bernoulli, GaussianPixels
from trainer.model.vae import VAE
from trainer.settings import TrainConfig
from trainer.shape import Shape

SHAPE, PIXELS, LATENTS, BATCH, CONTEXT = Shape(2, 2, 3), 12, 3, 5, 4


def scrambled(module, scale=0.5, seed=0):
    """Replaces every weight, biases too, by a normal draw, so that no law depends on initial values."""
    rng = np.random.default_rng(seed)
    for variable in module.variables:
        variable.assign(rng.normal(0.0, scale, variable.shape))
    return module


def normal(*shape, seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def black_and_white(count=3):
    """Images of which Bernoulli is a probability."""
    return tf.constant(np.random.default_rng(0).integers(0, 2, [count, PIXELS]), tf.float64)


def jacobian(function, at):
    """d function / d at for each row, [B, outputs, inputs]."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(at)
        outputs = tf.unstack(function(at), axis=-1)
    return np.stack([tape.gradient(output, at, unconnected_gradients="zero") for output in outputs], axis=-2)


def small_vae(scale=0.5, **settings):
    sizes = {"hidden_size": 8, "latent_size": LATENTS, "iaf_steps": 2, "iaf_hidden_size": 6}
    return scrambled(build(TrainConfig(**sizes | settings), SHAPE, tf.float64), scale)


# The flow


ORDERS = np.arange(1, LATENTS + 1), np.arange(LATENTS, 0, -1)


def random_step(kind, order, hidden, layers, seed=0):
    biases = [0.0, 1.5] if kind is IAFStep else [0.0]
    made = MADE(order, hidden, layers, CONTEXT, biases, np.random.default_rng(0), tf.float64)
    return scrambled(kind(made), seed=seed)


def random_steps():
    """Each with the indices of its latents in its order."""
    return [
        (np.argsort(order), random_step(kind, order, hidden, layers, seed=8 * layers + hidden))
        for kind in (IAFStep, LocationStep)
        for layers in (1, 2)
        for hidden in (2, 7)
        for order in ORDERS
    ]


def no_output_sees_its_own_latent_or_a_later_one():
    z, h = normal(BATCH, LATENTS), normal(BATCH, CONTEXT)
    for latents, step in random_steps():
        for k in range(len(step.made.outputs)):
            seen = jacobian(lambda z, made=step.made, k=k: made(z, h)[k], z)[:, latents][:, :, latents]
            np.testing.assert_array_equal(np.triu(seen), 0.0)
            assert seen.any(), "an output that sees nothing obeys any law"


def the_gates_of_a_step_are_the_diagonal_of_its_triangular_jacobian():
    z, h = normal(BATCH, LATENTS), normal(BATCH, CONTEXT)
    for latents, step in random_steps():
        whole = jacobian(lambda z, step=step: step(z, h).z, z)[:, latents][:, :, latents]
        np.testing.assert_array_equal(np.triu(whole, 1), 0.0)
        gates = np.exp(step(z, h).log_gates.numpy())[:, latents]
        np.testing.assert_allclose(np.diagonal(whole, axis1=1, axis2=2), gates, rtol=1e-12)


def the_log_gates_of_a_chain_sum_to_the_log_determinant_of_its_jacobian():
    chain, z0, h = random_steps()[2:], normal(BATCH, LATENTS), normal(BATCH, CONTEXT)
    total = np.zeros(BATCH)

    def run(z):
        for _, step in chain:
            z, log_gates = step(z, h)
            np.add(total, log_gates.numpy().sum(axis=-1), out=total)
        return z

    expected = np.linalg.slogdet(jacobian(run, z0))[1]
    assert np.std(expected) > 0.02, "the images must differ, or the law is empty"
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-9)


def two_steps_let_every_latent_reach_every_other():
    z, h = normal(BATCH, LATENTS), normal(BATCH, 8)
    for location_only in (False, True):
        first, second = small_vae(iaf_location_only=location_only).iaf
        assert jacobian(lambda z, first=first, second=second: second(first(z, h).z, h).z, z).all()


def a_gate_that_shuts_or_opens_wholly_stays_finite():
    z, h = normal(BATCH, LATENTS), normal(BATCH, CONTEXT)
    for s in (-1e4, 1e4):
        step = IAFStep(MADE(ORDERS[0], 7, 1, CONTEXT, [0.0, s], np.random.default_rng(0), tf.float64))
        with tf.GradientTape() as tape:
            tape.watch(z)
            result = step(z, h)
            loss = tf.reduce_sum(result.z) + tf.reduce_sum(result.log_gates)
        np.testing.assert_allclose(result.log_gates, np.full([BATCH, LATENTS], min(s, 0.0)), rtol=1e-3, atol=1e-6)
        for value in (result.z, *tape.gradient(loss, [z, *step.trainable_variables])):
            assert np.all(np.isfinite(value))


def the_density_of_a_draw_follows_from_its_noise_by_change_of_variables():
    x, eps = black_and_white(BATCH), normal(BATCH, LATENTS)
    for settings in ({"iaf_steps": 0}, {}, {"iaf_steps": 3, "iaf_layers": 2}, {"iaf_location_only": True}):
        density_follows_by_change_of_variables(small_vae(**settings), x, eps)


def density_follows_by_change_of_variables(model, x, eps):
    volume = np.linalg.slogdet(jacobian(lambda eps: model.joint(x, eps).z, eps))[1]
    expected = scipy.stats.norm.logpdf(eps).sum(axis=-1) - volume
    np.testing.assert_allclose(model.joint(x, eps).log_q.numpy().sum(axis=-1), expected, rtol=1e-10)


def the_density_of_two_latents_integrates_to_one():
    """log q at a grid of z that is chosen first: the flow is inverted one latent after the other."""
    vae, x = two_latents(), black_and_white(1)
    axis, width = np.linspace(-11.0, 11.0, 221, retstep=True)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 1, 2)
    q0, h = vae.encode(x)
    z = grid
    for step, order in zip(reversed(vae.iaf), ((1, 0), (0, 1)), strict=True):
        moved, z = z, np.zeros_like(z)
        for i in order:
            m, s = (output.numpy()[..., i] for output in step.made(tf.constant(z), h))
            z[..., i] = (moved[..., i] - scipy.special.expit(-s) * m) / scipy.special.expit(s)
    eps = (z - q0.loc) * np.exp(-0.5 * q0.logvar)
    there, log_q = vae.infer(x, eps)
    np.testing.assert_allclose(there, grid, atol=1e-9)
    np.testing.assert_allclose(np.exp(log_q.numpy().sum(axis=-1)).sum() * width**2, 1.0, rtol=1e-4)


# Linear Gaussian models


def every_weight_is_the_evidence(vae, model, x):
    weights = objective.draw(vae, tf.constant(x), normal(7, BATCH, LATENTS)).elbo().elbo
    np.testing.assert_allclose(weights, np.broadcast_to(model.evidence(x), [7, BATCH]), rtol=1e-11)


def with_the_exact_posterior_of_pca_every_weight_is_the_evidence():
    rng = np.random.default_rng(0)
    w = np.linalg.qr(rng.normal(size=[PIXELS, LATENTS]))[0] * [3.0, 1.0, 0.5]
    model, x = LinearGaussian(w, rng.normal(size=PIXELS), 0.3), rng.normal(size=[BATCH, PIXELS])
    encoder = gaussian_encoder(model.posterior_mean, 1.0 / np.diag(model.posterior_precision()))
    every_weight_is_the_evidence(VAE(LATENTS, encoder, model.decoder, GaussianPixels), model, x)


def with_a_linear_flow_to_a_correlated_posterior_every_weight_is_the_evidence():
    model, x = correlated_model()
    for kinds in ([LocationStep], [IAFStep], [IAFStep, IAFStep], [LocationStep, IAFStep, IAFStep]):
        every_weight_is_the_evidence(exact_linear_flow(model, kinds), model, x)


def a_latents_log_q_is_its_log_density_given_those_before_it():
    """One step sees the latents in their own order: each is conditioned on those that stand before it."""
    model, x = correlated_model()
    mean, covariance = model.posterior_mean(x), np.linalg.inv(model.posterior_precision())
    for kind in (LocationStep, IAFStep):
        z, log_q = exact_linear_flow(model, [kind]).infer(tf.constant(x), normal(BATCH, LATENTS))
        apart = z.numpy() - mean
        of_the_first = [
            scipy.stats.multivariate_normal(cov=covariance[:i, :i]).logpdf(apart[:, :i]) for i in range(1, LATENTS + 1)
        ]
        expected = np.diff(np.stack([np.zeros(BATCH), *of_the_first], axis=-1))
        np.testing.assert_allclose(log_q, expected, rtol=1e-10, atol=1e-10)


def cubature(size):
    """Noise [2 L, 1, L] over which the mean of any cubic function is its mean over the standard normal."""
    return np.sqrt(size) * np.concatenate([np.eye(size), -np.eye(size)])[:, None]


def without_the_flow_the_bound_falls_short_by_the_kl_to_the_posterior():
    """And so does the diagonal Gaussian that comes nearest, which has the posterior's precisions."""
    model, x = correlated_model()
    mean, precision = model.posterior_mean(x), model.posterior_precision()
    for variance, shift in ((1.0 / np.diag(precision), 0.0), (np.array([0.5, 0.1, 0.3]), 0.2)):
        encoder = gaussian_encoder(lambda x, shift=shift: model.posterior_mean(x) + shift, variance)
        vae = VAE(LATENTS, encoder, model.decoder, GaussianPixels)
        eps = tf.constant(np.broadcast_to(cubature(LATENTS), [2 * LATENTS, BATCH, LATENTS]))
        bound = objective.draw(vae, tf.constant(x), eps).elbo().elbo.numpy().mean(axis=0)
        apart = np.full(mean.shape, shift)
        volumes = np.linalg.slogdet(precision)[1] + np.log(variance).sum()
        kl = 0.5 * (np.diag(precision) @ variance - LATENTS - volumes + np.sum(apart @ precision * apart, axis=-1))
        assert np.all(kl > 0.1)
        np.testing.assert_allclose(model.evidence(x) - bound, kl, rtol=1e-9)


# The bound


def without_a_flow_the_mean_kl_of_each_latent_is_its_closed_form():
    vae, x = small_vae(iaf_steps=0), black_and_white(BATCH)
    (loc, logvar), _ = vae.encode(x)
    closed = 0.5 * (loc**2 + np.exp(logvar) - logvar - 1.0)
    eps = tf.constant(np.broadcast_to(cubature(LATENTS), [2 * LATENTS, BATCH, LATENTS]))
    draws = objective.draw(vae, x, eps)
    np.testing.assert_allclose(draws.kl.numpy().mean(axis=0), closed, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(draws.elbo().kl.numpy().mean(axis=0), np.sum(closed, axis=-1), rtol=1e-9)


def two_latents():
    """A model small enough to integrate z out, and with a wide q(z|x), so that weights have a small variance."""
    vae = small_vae(scale=0.4, latent_size=2)
    vae.encoder.heads[1].b.assign([1.0, 1.0])
    for step in vae.iaf:
        step.made.outputs[1].b.assign([3.0, 3.0])
    return vae


def log_bernoulli(x, logits):
    return np.sum(x * scipy.special.log_expit(logits) + (1 - x) * scipy.special.log_expit(-logits), axis=-1)


def evidence_by_quadrature(vae, x):
    """log p(x) = log of the integral of p(x|z) p(z) over a grid of two latents, [B]."""
    axis, width = np.linspace(-8.0, 8.0, 161, retstep=True)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 1, 2)
    log_joint = log_bernoulli(x.numpy(), vae.decoder(tf.constant(grid))[0].numpy())
    log_joint += scipy.stats.norm.logpdf(grid).sum(axis=-1)
    return scipy.special.logsumexp(log_joint, axis=0) + 2.0 * np.log(width)


def the_mean_weight_is_the_evidence():
    vae, x = two_latents(), black_and_white()
    mean_weight_is(evidence_by_quadrature(vae, x), vae, x)


def mean_weight_is(evidence, model, x, draws=20_000):
    weights = np.exp(objective.draw(model, x, normal(draws, len(x), model.latent_size)).elbo().elbo - evidence)
    error = weights.std(axis=0) / np.sqrt(draws)
    assert np.all(error < 0.02), "too few draws for the law to mean something"
    assert np.all(np.abs(weights.mean(axis=0) - 1.0) < 4.0 * error)


def the_bounds_rise_with_their_draws_from_the_elbo_towards_the_evidence():
    vae, x = two_latents(), black_and_white()
    bounds_rise_to(evidence_by_quadrature(vae, x), vae, x)


def bounds_rise_to(evidence, model, x, repeats=1000):
    weights = objective.draw(model, x, normal(64, repeats, len(x), model.latent_size)).elbo().elbo
    bounds = {k: objective.importance_weighted_bound(weights[:k]).numpy() for k in (1, 8, 64)}
    np.testing.assert_allclose(bounds[1], weights[0], rtol=1e-12)
    for fewer, more in ((1, 8), (8, 64)):
        gain = bounds[more] - bounds[fewer]
        assert np.all(gain.mean(axis=0) > 4.0 * gain.std(axis=0) / np.sqrt(repeats))
    error = bounds[64].std(axis=0) / np.sqrt(repeats)
    gap = evidence - bounds[64].mean(axis=0)
    assert np.all(gap > -4.0 * error)
    assert np.all(gap < 0.05)


# The pixels


def the_reconstruction_is_the_summed_log_probability_of_the_pixels():
    vae, x = small_vae(), black_and_white(BATCH)
    draws = objective.draw(vae, x, normal(7, BATCH, LATENTS))
    expected = log_bernoulli(x.numpy(), vae.decoder(draws.z)[0].numpy())
    np.testing.assert_allclose(draws.reconstruction, expected, rtol=1e-10)


def a_decoder_that_knows_the_image_reaches_the_ceiling():
    x = np.random.default_rng(0).uniform(0.01, 0.99, [BATCH, PIXELS])
    logits = tf.constant(scipy.special.logit(x))
    knowing = VAE(LATENTS, gaussian_encoder(lambda x: x[:, :LATENTS], np.ones(LATENTS)), lambda z: [logits], Bernoulli)
    reached = objective.draw(knowing, tf.constant(x), normal(BATCH, LATENTS)).elbo().reconstruction
    entropy = scipy.stats.bernoulli(x).entropy().sum(axis=-1)
    np.testing.assert_allclose(reached, -entropy, rtol=1e-10)
    np.testing.assert_allclose(Bernoulli.ceiling(tf.constant(x)), -entropy, rtol=1e-10)


def samples_are_the_decoders_means_of_draws_from_the_prior():
    vae, eps = small_vae(), normal(BATCH, LATENTS)
    np.testing.assert_allclose(vae.sample(eps), scipy.special.expit(vae.decoder(eps)[0]), rtol=1e-10)


OF_THE_FLOW = [
    no_output_sees_its_own_latent_or_a_later_one,
    the_gates_of_a_step_are_the_diagonal_of_its_triangular_jacobian,
    the_log_gates_of_a_chain_sum_to_the_log_determinant_of_its_jacobian,
    two_steps_let_every_latent_reach_every_other,
    a_gate_that_shuts_or_opens_wholly_stays_finite,
]
OF_THE_POSTERIOR = [
    the_density_of_a_draw_follows_from_its_noise_by_change_of_variables,
    the_density_of_two_latents_integrates_to_one,
    a_latents_log_q_is_its_log_density_given_those_before_it,
    samples_are_the_decoders_means_of_draws_from_the_prior,
]
OF_THE_BOUND = [
    with_the_exact_posterior_of_pca_every_weight_is_the_evidence,
    with_a_linear_flow_to_a_correlated_posterior_every_weight_is_the_evidence,
    without_the_flow_the_bound_falls_short_by_the_kl_to_the_posterior,
    without_a_flow_the_mean_kl_of_each_latent_is_its_closed_form,
    the_mean_weight_is_the_evidence,
    the_bounds_rise_with_their_draws_from_the_elbo_towards_the_evidence,
    the_reconstruction_is_the_summed_log_probability_of_the_pixels,
    a_decoder_that_knows_the_image_reaches_the_ceiling,
]
LAWS = [*OF_THE_BOUND, *OF_THE_POSTERIOR, *OF_THE_FLOW]  # the quick ones, which break at most mutants, first
