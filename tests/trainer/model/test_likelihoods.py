"""The interface that all likelihoods share, and the definition of each."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from trainer.errors import UserError
from trainer.model.likelihoods import LIKELIHOODS, Bernoulli, DiscretizedLogistic, GaussianPixels, bits_per_dim
from trainer.model.likelihoods.gaussian import MIN_LOGVAR
from trainer.model.likelihoods.levels import MIN_LOG_SCALE as FLOOR
from trainer.model.likelihoods.pixels import PixelModel
from trainer.settings import DECODERS, TrainConfig

SIZE, HALF = 7, 0.5 / 255.0
LEVELS = np.arange(256) / 255.0


def cross_entropy(x, logits):
    p = scipy.special.expit(logits)
    return scipy.special.xlogy(x, p) + scipy.special.xlog1py(1.0 - x, -p)


def gaussian(x, loc, logvar):
    return scipy.stats.norm.logpdf(x, loc, np.exp(0.5 * logvar))


def discretized_logistic(x, loc, log_scale):
    """Logarithm of a difference of the distribution function, on the side of loc where it cancels least."""
    low, high = np.where(x < HALF, -np.inf, x - HALF), np.where(x > 1.0 - HALF, np.inf, x + HALF)
    law = scipy.stats.logistic(loc, np.exp(log_scale))
    larger = np.where(x > loc, law.logsf(low), law.logcdf(high))
    smaller = np.where(x > loc, law.logsf(high), law.logcdf(low))
    return larger + np.log(-np.expm1(smaller - larger))


def logistic_mixture(x, logits, loc, log_scale, slopes):
    """The mixture for pixels of one channel, which have no slopes."""
    assert slopes.shape[-3] == 0
    components = np.exp(discretized_logistic(x[..., None, :], loc[..., 0, :, :], log_scale[..., 0, :, :]))
    return np.log(np.sum(scipy.special.softmax(logits, axis=-2) * components, axis=-2))


ORACLES = {
    "Bernoulli": cross_entropy,
    "Gaussian": gaussian,
    "DiscretizedLogistic": discretized_logistic,
    "DiscretizedLogisticMixture": logistic_mixture,
}
SUPPORTS = {"Bernoulli": [0.0, 1.0], "Gaussian": np.linspace(-9.0, 10.0, 60_001)}  # all others: the levels
BEST = {  # parameters that reach or approach the ceiling
    "Bernoulli": lambda x: [np.clip(scipy.special.logit(x), -50.0, 50.0)],
    "Gaussian": lambda x: [x, np.full_like(x, MIN_LOGVAR)],
    "DiscretizedLogistic": lambda x: [x, np.full_like(x, FLOOR)],
    "DiscretizedLogisticMixture": lambda x: mixture_of_one(x, np.full_like(x, FLOOR)),
}
GAPS = {"Bernoulli": 1e-12, "Gaussian": 1e-6}
LEVEL_GAP = -SIZE * np.log1p(-np.exp(-5.0))  # of all others
EXTREMES = {"Gaussian": 1e15}  # float32 holds its square; of all others 1e30

EVERY = pytest.mark.parametrize("name", LIKELIHOODS)
MOMENTS_KNOWN = pytest.mark.parametrize("name", ["Bernoulli", "Gaussian"])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def x(rng):
    """8-bit grey values [50, SIZE] in [0, 1], black and white among them."""
    levels = rng.integers(0, 256, [50, SIZE])
    levels[:10, 0], levels[:10, 1] = 0, 255
    return levels / 255.0


def from_network(name, outputs, dtype=tf.float64):
    return LIKELIHOODS[name].from_network(*(tf.constant(output, dtype) for output in outputs))


def outputs_of(name, draw, shape):
    """The outputs of a network for pixels of one channel and `shape`, from a function of the sizes of an array."""
    return [draw([*shape[:-1], shape[-1] * size]) for size in LIKELIHOODS[name].outputs(1)]


def some(name, rng, shape, scale=2.0):
    """A member of the family, for pixels of one channel, with parameters far from the ends of their ranges."""
    return from_network(name, outputs_of(name, lambda sizes: rng.normal(0.0, scale, sizes), shape))


def mixture_of_one(loc, log_scale):
    """The parameters of a mixture of one component for pixels of one channel."""
    loc, log_scale = (parameter[..., None, None, :] for parameter in (loc, log_scale))
    return [np.zeros_like(loc[..., 0, :, :]), loc, log_scale, loc[..., :0, :, :]]


def parameters_of(p):
    return list(vars(p).values())


def moments(x):
    return PixelModel(tf.constant(x.mean(axis=0)), tf.constant(x.var(axis=0)))


def summed_log_prob(family, parameters, x):
    """Log-likelihood of all of `x`, and its gradient in each parameter."""
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        total = tf.reduce_sum(family(*parameters).log_prob(tf.constant(x)))
    return total.numpy(), tape.gradient(total, parameters)


def test_a_configuration_can_name_every_likelihood():
    encoder = {True: "GaussianLadder", False: "GaussianMLP"}
    recipes = [TrainConfig(encoder=encoder[name.endswith("Ladder")], decoder=name) for name in DECODERS]
    assert {recipe.likelihood for recipe in recipes} == set(LIKELIHOODS)


@EVERY
def test_log_prob_is_that_of_the_oracle(name, rng, x):
    p = some(name, rng, [20, *x.shape])
    expected = ORACLES[name](x, *(parameter.numpy() for parameter in parameters_of(p))).sum(axis=-1)
    np.testing.assert_allclose(p.log_prob(tf.constant(x)), expected, rtol=1e-9)


@EVERY
def test_float32_agrees_with_float64(name, rng, x):
    p = some(name, rng, x.shape)
    low = type(p)(*(tf.cast(parameter, tf.float32) for parameter in parameters_of(p)))
    assert low.log_prob(tf.constant(x, tf.float32)).dtype == low.mean().dtype == low.sample([0, 0]).dtype == tf.float32
    np.testing.assert_allclose(low.log_prob(tf.constant(x, tf.float32)), p.log_prob(tf.constant(x)), rtol=1e-4)
    np.testing.assert_allclose(low.mean(), p.mean(), atol=1e-6)


@EVERY
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 100.0])
def test_nothing_passes_the_ceiling(name, scale, rng, x):
    moves = lambda parameter: np.abs(rng.normal(0.0, 1e-3 * scale, [200, *parameter.shape]))  # upwards from the floors  # noqa: E731
    near = [parameter + moves(parameter) for parameter in BEST[name](x)]
    ceiling = LIKELIHOODS[name].ceiling(tf.constant(x))
    assert ceiling.shape == (50,)
    for p in (some(name, rng, [200, *x.shape], scale), LIKELIHOODS[name](*map(tf.constant, near))):
        assert np.all(p.log_prob(tf.constant(x)) <= ceiling + 1e-12)


@EVERY
def test_the_ceiling_is_reached(name, x):
    best = LIKELIHOODS[name](*map(tf.constant, BEST[name](x)))
    gap = LIKELIHOODS[name].ceiling(tf.constant(x)) - best.log_prob(tf.constant(x))
    assert np.all(np.abs(gap) <= GAPS.get(name, LEVEL_GAP))


@EVERY
def test_samples_fall_where_log_prob_says(name, rng):
    p, support = some(name, rng, [5], scale=0.5), np.asarray(SUPPORTS.get(name, LEVELS))
    alone = (tf.constant(np.moveaxis(parameter, -1, 0)[..., None]) for parameter in parameters_of(p))
    each = type(p)(*alone)  # every pixel as an image of its own
    width = support[1] - support[0] if name == "Gaussian" else 1.0
    below = np.cumsum(np.exp(each.log_prob(tf.constant(support[:, None, None]))) * width, axis=0)  # [S, 5]
    np.testing.assert_allclose(below[-1], 1.0, atol=1e-6)
    draws = 20_000
    samples = type(p)(*(tf.repeat(parameter[None], draws, 0) for parameter in parameters_of(p))).sample([1, 2]).numpy()
    for i in np.unique(np.linspace(0, len(support) - 1, 256).astype(int)):
        expected, error = below[i], np.sqrt(np.clip(below[i] * (1.0 - below[i]), 1e-4, 1.0) / draws)
        share = np.mean(samples <= support[i] + 1e-9, axis=0)
        assert np.all(np.abs(share - expected) < 5.0 * error)


@EVERY
def test_a_sample_is_a_function_of_its_seed(name, rng):
    p = some(name, rng, [3, 400])
    np.testing.assert_array_equal(p.sample([1, 2]), p.sample([1, 2]))
    for other in ([1, 3], [2, 2]):
        assert np.any(p.sample([1, 2]) != p.sample(other))


@EVERY
def test_the_mean_is_that_of_many_samples(name, rng):
    draws = 20_000
    outputs = outputs_of(name, lambda sizes: rng.uniform(0.0, 0.4, sizes), [1, SIZE])
    p = from_network(name, [np.repeat(output, draws, axis=0) for output in outputs])
    samples = p.sample([0, 0]).numpy()
    bias = HALF if LIKELIHOODS[name].IS_PROBABILITY else 0.0
    error = 5.0 * samples.std(axis=0) / np.sqrt(draws)
    assert np.all(np.abs(samples.mean(axis=0) - p.mean()[0]) < error + bias)


@pytest.mark.parametrize(
    ("name", "scale"),
    [*itertools.product(LIKELIHOODS, [1.0, 100.0, 1e10])],
)
def test_a_mean_image_is_in_the_range_of_a_pixel(name, scale, rng):
    outputs = outputs_of(name, lambda sizes: rng.normal(0.0, scale, sizes), [20, SIZE])
    p = from_network(name, outputs, tf.float32)
    mean, middle = p.mean().numpy(), 0.0 if name == "Bernoulli" else 0.5
    assert mean.min() >= 0.0
    assert mean.max() <= 1.0
    if len(outputs) < 3:  # a mean of components can lie on either side
        np.testing.assert_array_equal(mean > 0.5, parameters_of(p)[0].numpy() > middle)


@EVERY
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_extreme_outputs_of_a_network_give_finite_values_and_gradients(name, value, rng):
    largest = EXTREMES.get(name, 1e30)
    choose = lambda sizes: tf.constant(rng.choice([-largest, -100.0, 0.0, 100.0, largest], sizes), tf.float32)  # noqa: E731
    outputs = outputs_of(name, choose, [2000, 1])
    grey = tf.fill([2000, 1], np.float32(np.round(value * 255.0) / 255.0))
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        log_prob = LIKELIHOODS[name].from_network(*outputs).log_prob(grey)
    assert np.all(np.isfinite(log_prob))
    assert np.all(np.isfinite(tape.gradient(log_prob, outputs)))


@MOMENTS_KNOWN
def test_independent_is_the_best_member_that_ignores_the_image(name, rng, x):
    family = LIKELIHOODS[name]
    best = parameters_of(family.independent(moments(x)))
    likelihood, gradients = summed_log_prob(family, best, x)
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0.0, atol=1e-9)
    for _ in range(50):
        others = [parameter + rng.normal(0.0, 0.1, SIZE) for parameter in best]
        assert summed_log_prob(family, others, x)[0] < likelihood


def test_an_independent_discretized_logistic_has_the_moments_of_its_pixels(x):
    p = DiscretizedLogistic.independent(moments(x))
    law = scipy.stats.logistic(p.loc, np.exp(p.log_scale))
    np.testing.assert_allclose(law.mean(), x.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(law.var(), x.var(axis=0), rtol=1e-9)


@EVERY
@pytest.mark.parametrize("value", [0.0, 128.0 / 255.0, 1.0])
def test_a_pixel_that_never_varied_stays_finite(name, value, x):
    x[:, 2] = value
    p = LIKELIHOODS[name].independent(moments(x))
    assert np.all(np.isfinite(p.log_prob(tf.constant(x))))
    assert np.all(np.isfinite(p.log_prob(tf.constant(1.0 - x))))
    assert np.all(p.log_prob(tf.constant(x)) <= LIKELIHOODS[name].ceiling(tf.constant(x)))


def test_bernoulli_sums_to_one_over_all_images(rng):
    images = tf.constant(list(itertools.product([0.0, 1.0], repeat=SIZE)), tf.float64)
    logits = tf.constant(rng.normal(0.0, 2.0, [SIZE]))
    np.testing.assert_allclose(tf.reduce_sum(tf.exp(Bernoulli(logits).log_prob(images))), 1.0, rtol=1e-12)


def test_black_and_white_have_a_bernoulli_ceiling_of_zero():
    np.testing.assert_array_equal(Bernoulli.ceiling(tf.constant([[0.0, 1.0, 1.0]])), [0.0])


def test_bernoulli_from_network_applies_one_sigmoid(rng):
    logits = rng.normal(0.0, 2.0, [5, SIZE])
    np.testing.assert_allclose(from_network("Bernoulli", [logits]).mean(), scipy.special.expit(logits), rtol=1e-10)


@pytest.mark.parametrize("output", [-1e30, -1e4, -12.0, 0.0, 1e4, 1e30])
def test_a_pixels_variance_is_between_one_grey_level_squared_and_one(output):
    p = from_network("Gaussian", [np.zeros([SIZE]), np.full([SIZE], output)], tf.float32)
    assert np.all(p.logvar >= np.float32(-2.0 * np.log(255.0)))
    assert np.all(p.logvar <= 1e-4)


def test_the_ceiling_of_a_gaussian_is_the_density_one_grey_level_wide(x):
    expected = SIZE * scipy.stats.norm.logpdf(0.0, scale=1.0 / 255.0)
    np.testing.assert_allclose(GaussianPixels.ceiling(tf.constant(x)), np.full(len(x), expected), rtol=1e-6)


def over_all_levels(loc, log_scale):
    """Probabilities of the 256 levels [256, N] for each pair of parameters."""
    loc, log_scale = (values.ravel()[:, None] for values in np.meshgrid(loc, log_scale))
    p = DiscretizedLogistic(tf.constant(loc), tf.constant(log_scale))
    return p, np.exp([p.log_prob(tf.constant([level])) for level in LEVELS])


LOCS = [-1e3, -2.0, -0.01, 0.0, 0.5 / 255.0, 0.3, 128.0 / 255.0, 1.0 - 0.4 / 255.0, 1.0, 1.01, 3.0, 1e3]
LOG_SCALES = [FLOOR, -6.0, -4.0, -2.0, -0.5, 0.0]


def test_a_discretized_logistic_sums_to_one_over_the_levels():
    _, probabilities = over_all_levels(LOCS, LOG_SCALES)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1.0, rtol=0, atol=1e-9)


def test_the_mean_of_a_discretized_logistic_is_within_half_a_level_of_its_levels():
    p, probabilities = over_all_levels(LOCS, LOG_SCALES)
    assert np.all(np.abs(LEVELS @ probabilities - p.mean()[:, 0]) <= HALF + 1e-9)


@pytest.mark.parametrize(("level", "loc"), [(0.0, -10.0), (1.0, 11.0)])
def test_the_edges_of_a_discretized_logistic_can_be_certain(level, loc):
    p = DiscretizedLogistic(tf.constant([loc]), tf.constant([FLOOR]))
    assert p.log_prob(tf.constant([level])) == 0.0


def test_a_discretized_logistic_starts_at_mid_grey_with_the_scale_of_natural_pixels():
    p = from_network("DiscretizedLogistic", np.zeros([2, 1]))
    np.testing.assert_allclose(p.loc, 0.5)
    np.testing.assert_allclose(p.log_scale, -2.0, atol=0.15)


@pytest.mark.parametrize("output", [-1e30, -100.0, 0.0, 100.0, 1e30])
def test_a_discretized_logistics_scale_keeps_its_bounds(output):
    p = from_network("DiscretizedLogistic", np.full([2, 1], output), tf.float32)
    assert FLOOR <= p.log_scale[0] <= 1e-3


@pytest.mark.parametrize("size", [1, SIZE, 3072])
def test_a_uniform_pixel_has_eight_bits(size):
    assert bits_per_dim(DiscretizedLogistic, -size * np.log(256.0), size) == pytest.approx(8.0)


@pytest.mark.parametrize("family", [Bernoulli, GaussianPixels])
def test_bits_of_what_is_no_probability_are_refused_by_name(family):
    with pytest.raises(UserError) as error:
        bits_per_dim(family, -100.0, SIZE)
    assert error.value.failure.value == family.UNITS
