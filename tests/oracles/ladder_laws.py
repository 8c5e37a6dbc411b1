"""The mathematics of the ladder as laws, each against an oracle of its own; see laws.py."""

import laws
import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf

from trainer.model.build import build
from trainer.model.distributions import log_normal
from trainer.model.flows import IAFStep, LocationStep
from trainer.model.ladder_blocks import MaskedConvs
from trainer.settings import TrainConfig
from trainer.shape import Shape

SHAPE = Shape(4, 4, 1)  # its latents' maps are of 1x1, 1x1 and 2x2 cells
LATENTS = 2  # channels of a layer
LAYERS = [slice(0, 2), slice(2, 4), slice(4, 12)]  # of a ladder of one layer a scale, the top one first
CELLS, CONTEXT = (3, 2), 2
KINDS = {IAFStep: [0.0, 1.5], LocationStep: [0.0]}


def small_ladder(shape=SHAPE, scale=0.4, **settings):
    sizes = {"channels": 3, "ladder_layers": 1, "latent_channels": LATENTS, "iaf_steps": 2, "iaf_hidden_size": 5}
    names = {"encoder": "GaussianLadder", "decoder": "BernoulliLadder"}
    return laws.scrambled(build(TrainConfig(**names | sizes | settings), shape, tf.float64), scale)


def generate(model, z):
    """Each latent's share of log p(z), [..., L], and p(x|z), of given latents z [..., L]."""
    given, densities = model._as_maps(z), []

    def take(number, prior):
        densities.append(log_normal(given[number], *prior.p))
        return given[number]

    pixels = model._descend(take, z)
    rows = [tf.reshape(part, [*z.shape[:-1], -1]) for part in densities]
    return tf.concat(rows, axis=-1), pixels


def black_and_white(count, shape=SHAPE):
    return tf.constant(np.random.default_rng(0).integers(0, 2, [count, shape.size]), tf.float64)


def masked_steps():
    """Steps on maps of CELLS, with whether they read them backwards."""
    return [
        (backwards, laws.scrambled(kind(MaskedConvs(LATENTS, backwards, 5, layers, CONTEXT, biases, rng, tf.float64))))
        for rng in [np.random.default_rng(0)]
        for kind, biases in KINDS.items()
        for layers in (1, 2)
        for backwards in (False, True)
    ]


def flat_jacobian(function, backwards):
    """d function(z, h) / d z for random maps, [B, L, L], in the order of the step; and its value, [B, L]."""
    size = CELLS[0] * CELLS[1] * LATENTS
    z, h = laws.normal(laws.BATCH, size), laws.normal(laws.BATCH, *CELLS, CONTEXT)

    def flat(z):
        return tf.reshape(function(tf.reshape(z, [-1, *CELLS, LATENTS]), h), [-1, size])

    order = slice(None, None, -1 if backwards else 1)
    return laws.jacobian(flat, z)[:, order][:, :, order], flat(z).numpy()[:, order]


def an_output_sees_the_cells_and_channels_before_its_own_only():
    near = [(i, j) for i in range(2 * LATENTS) for j in range(i)]  # the first two cells of a row touch
    for backwards, step in masked_steps():
        for k in range(len(step.made.outputs)):
            seen, _ = flat_jacobian(lambda z, h, step=step, k=k: step.made(z, h)[k], backwards)
            np.testing.assert_array_equal(np.triu(seen), 0.0)
            assert all(np.all(seen[:, i, j]) for i, j in near), "an output that sees nothing obeys any law"


def the_gates_of_a_step_are_the_diagonal_of_its_triangular_jacobian():
    for backwards, step in masked_steps():
        whole, _ = flat_jacobian(lambda z, h, step=step: step(z, h).z, backwards)
        np.testing.assert_array_equal(np.triu(whole, 1), 0.0)
        _, log_gates = flat_jacobian(lambda z, h, step=step: step(z, h).log_gates, backwards)
        np.testing.assert_allclose(np.diagonal(whole, axis1=1, axis2=2), np.exp(log_gates), rtol=1e-12)


def every_other_step_reads_backwards():
    for location_only in (False, True):
        for layer in small_ladder(iaf_location_only=location_only)._layers:
            for backwards, step in enumerate(layer.steps):
                seen, _ = flat_jacobian(lambda z, h, step=step: step.made(z, tf.pad(h, PAD))[0], bool(backwards))
                np.testing.assert_array_equal(np.triu(seen), 0.0)


PAD = [[0, 0]] * 3 + [[0, 3]]  # from CONTEXT feature maps to those of a small ladder


def the_density_of_a_draw_follows_from_its_noise_by_change_of_variables():
    for settings in ({"iaf_steps": 0}, {}, {"ladder_layers": 2, "iaf_steps": 1}, {"iaf_location_only": True}):
        model, x = small_ladder(scale=0.2, **settings), black_and_white(laws.BATCH)
        laws.density_follows_by_change_of_variables(model, x, laws.normal(laws.BATCH, model.latent_size))


def each_prior_is_a_normalised_gaussian_given_the_layers_above_and_samples_follow_it():
    """log p(z_l) is a parabola in each latent, which tells mean and variance, and these its constant."""
    model, eps = small_ladder(), laws.normal(laws.BATCH, 12)
    z = np.zeros(eps.shape)
    for layer in LAYERS:
        at = {}
        for value in (-1.0, 0.0, 1.0):
            z[:, layer] = value
            at[value] = generate(model, tf.constant(z))[0].numpy()[:, layer]
        variance = -1.0 / (at[1.0] - 2.0 * at[0.0] + at[-1.0])
        mean = variance * (at[1.0] - at[-1.0]) / 2.0
        np.testing.assert_allclose(at[0.0], scipy.stats.norm.logpdf(0.0, mean, np.sqrt(variance)), rtol=1e-9)
        z[:, layer] = mean + np.sqrt(variance) * eps[:, layer]
    assert np.std(variance) > 0.1, "the variances must differ, or the law is empty"
    np.testing.assert_allclose(
        model.sample(eps), scipy.special.expit(generate(model, tf.constant(z))[1].logits), rtol=1e-8
    )


def the_densities_of_a_draw_are_those_of_generating_there():
    model, x = small_ladder(ladder_layers=2), black_and_white(laws.BATCH)
    z, _, log_prior, pixels = model.joint(x, laws.normal(7, laws.BATCH, model.latent_size))
    there, expected = generate(model, z)
    np.testing.assert_allclose(log_prior, there, rtol=1e-12)
    np.testing.assert_allclose(pixels.logits, expected.logits, rtol=1e-12)


def the_image_reaches_every_layer_and_the_layers_every_pixel():
    model, x, eps = small_ladder(), black_and_white(1), laws.normal(1, 12)
    assert laws.jacobian(lambda x: model.joint(x, eps).z, x).any(axis=-1).all()
    z = model.joint(x, eps).z
    assert laws.jacobian(lambda z: generate(model, z)[1].logits, z).any(axis=-2).all()


# The bound


POINT = Shape(1, 1, 3)  # whose latents are one number a layer


def three_latents():
    """A ladder small enough to integrate z out, and with a wide q(z|x), so that weights have a small variance."""
    model = small_ladder(POINT, latent_channels=1, iaf_steps=1)
    for layer in model._layers:
        layer.below.b.assign(np.where(np.arange(layer.below.b.shape[0]) == 1, 0.5, layer.below.b))
        layer.steps[0].made.outputs[1].b.assign([3.0])
    return model


def evidence_by_quadrature(model, x):
    """log p(x) = log of the integral of p(x|z) p(z) over a grid of three latents, [B]."""
    axis, width = np.linspace(-7.0, 7.0, 57, retstep=True)
    grid = tf.constant(np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 1, 3))
    log_prior, pixels = generate(model, grid)
    log_prior = log_prior.numpy().sum(axis=-1) + 3.0 * np.log(width)
    np.testing.assert_allclose(scipy.special.logsumexp(log_prior), 0.0, atol=1e-6)
    return scipy.special.logsumexp(log_prior + laws.log_bernoulli(x.numpy(), pixels.logits.numpy()), axis=0)


def the_mean_weight_is_the_evidence():
    model, x = three_latents(), black_and_white(3, POINT)
    laws.mean_weight_is(evidence_by_quadrature(model, x), model, x)


def the_bounds_rise_with_their_draws_from_the_elbo_towards_the_evidence():
    model, x = three_latents(), black_and_white(3, POINT)
    laws.bounds_rise_to(evidence_by_quadrature(model, x), model, x)


LAWS = [
    the_densities_of_a_draw_are_those_of_generating_there,
    each_prior_is_a_normalised_gaussian_given_the_layers_above_and_samples_follow_it,
    the_image_reaches_every_layer_and_the_layers_every_pixel,
    an_output_sees_the_cells_and_channels_before_its_own_only,
    the_gates_of_a_step_are_the_diagonal_of_its_triangular_jacobian,
    every_other_step_reads_backwards,
    the_density_of_a_draw_follows_from_its_noise_by_change_of_variables,
    the_mean_weight_is_the_evidence,
    the_bounds_rise_with_their_draws_from_the_elbo_towards_the_evidence,
]
