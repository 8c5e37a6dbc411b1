"""The convolutional networks against their arithmetic written out in NumPy."""

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from trainer.model.resnet import Conv, Flat, ResidualBlock, ResNetDecoder, ResNetEncoder, Upsample
from trainer.shape import Shape

CHANNELS, LATENTS, SHAPE = 2, 64, Shape(32, 32, 3)
PIXELS = SHAPE.size
MAPS = pytest.mark.parametrize("maps", [False, True], ids=["dense", "maps"])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def elu(x):
    return np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0)))


def conv(layer, x):
    """A padded correlation of [N, H, W, inputs] with the weights of `layer`, for stride 1 and side 3."""
    w, b = layer.w.numpy(), layer.b.numpy()
    planes = [
        sum(scipy.signal.correlate2d(image[..., i], w[..., i, o], "same") for i in range(w.shape[2])) + b[o]
        for image in x
        for o in range(w.shape[3])
    ]
    return np.moveaxis(np.reshape(planes, [len(x), w.shape[3], *x.shape[1:3]]), 1, -1)


def test_a_convolution_is_a_padded_correlation(rng, scramble):
    layer, x = scramble(Conv(3, 4, 3, 1, rng, tf.float64)), rng.normal(size=[2, 6, 5, 3])
    np.testing.assert_allclose(layer(tf.constant(x)), conv(layer, x), rtol=1e-10, atol=1e-12)


def test_a_strided_convolution_moves_with_its_input(rng, scramble):
    layer, x = scramble(Conv(3, 4, 4, 2, rng, tf.float64)), rng.normal(size=[1, 12, 12, 3])
    whole, moved = layer(tf.constant(x)), layer(tf.constant(np.roll(x, 2, axis=2)))
    assert whole.shape == (1, 6, 6, 4)
    np.testing.assert_allclose(moved[:, :, 2:-1], whole[:, :, 1:-2], rtol=1e-10, atol=1e-12)


def test_a_convolutions_output_starts_at_the_scale_of_its_input(rng):
    x = tf.constant(rng.normal(size=[20, 16, 16, 32]))
    assert 0.9 < np.std(Conv(32, 64, 3, 1, rng, tf.float64)(x)[:, 1:-1, 1:-1]) < 1.1


@pytest.mark.parametrize(("height", "width"), [(8, 10), (7, 9)])
def test_an_upsampling_puts_the_four_outputs_of_a_place_in_a_square(height, width, rng, scramble):
    layer, x = scramble(Upsample(3, 2, height, width, rng, tf.float64)), rng.normal(size=[2, 4, 5, 3])
    squares = conv(layer.conv, x).reshape(2, 4, 5, 2, 2, 2)
    expected = squares.transpose(0, 1, 3, 2, 4, 5).reshape(2, 8, 10, 2)
    np.testing.assert_allclose(layer(tf.constant(x)), expected[:, :height, :width], rtol=1e-10, atol=1e-12)


def test_a_residual_block_is_the_identity_at_first(rng):
    x = tf.constant(rng.normal(size=[2, 8, 8, CHANNELS]))
    np.testing.assert_array_equal(ResidualBlock(CHANNELS, rng, tf.float64)(x), x)


def test_a_residual_block_adds_its_formula(rng, scramble):
    block, x = scramble(ResidualBlock(CHANNELS, rng, tf.float64)), rng.normal(size=[2, 5, 6, CHANNELS])
    expected = x + conv(block.second, elu(conv(block.first, elu(x))))
    np.testing.assert_allclose(block(tf.constant(x)), expected, rtol=1e-10, atol=1e-12)


def test_a_flat_layer_is_a_convolution_of_maps(rng, scramble):
    layer, x = scramble(Flat(Conv(3, 2, 3, 1, rng, tf.float64), 8, 5, 3)), rng.normal(size=[2, 4, 8, 5, 3])
    expected = conv(layer.conv, x.reshape(8, 8, 5, 3)).reshape(8, -1)
    np.testing.assert_allclose(layer(tf.constant(x.reshape(2, 4, -1))), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_network_has_its_blocks_at_both_resolutions(blocks, rng):
    encoder = ResNetEncoder(SHAPE, CHANNELS, blocks, False, [4], rng)
    decoder = ResNetDecoder(LATENTS, SHAPE, CHANNELS, blocks, False, [3], rng)
    for network, order in ((encoder, [CHANNELS, 2 * CHANNELS]), (decoder, [2 * CHANNELS, CHANNELS])):
        found = [layer.first.w.shape[-1] for layer in network.layers if isinstance(layer, ResidualBlock)]
        assert found == [channels for channels in order for _ in range(blocks)]


@pytest.mark.parametrize(("maps", "outputs"), [(False, [4]), (False, [5, 5, 7]), (True, [64]), (True, [64, 64, 192])])
def test_an_encoder_gives_its_outputs_for_every_image_alone(maps, outputs, rng, scramble):
    encoder = scramble(ResNetEncoder(SHAPE, CHANNELS, 1, maps, outputs, rng, tf.float64), scale=0.2)
    x = tf.constant(rng.uniform(size=[3, PIXELS]))
    whole = encoder(x)
    assert [output.shape for output in whole] == [(3, size) for size in outputs]
    for i in range(3):
        for output, alone in zip(whole, encoder(x[i : i + 1]), strict=True):
            np.testing.assert_allclose(alone[0], output[i], rtol=1e-9)


@MAPS
def test_an_encoder_centres_its_pixels(maps, rng):
    encoder = ResNetEncoder(SHAPE, CHANNELS, 1, maps, [64], rng, tf.float64)
    grey, black = tf.fill([1, PIXELS], tf.constant(0.5, tf.float64)), tf.zeros([1, PIXELS], tf.float64)
    assert not np.any(encoder(grey)[0]), "mid-grey is the origin"
    assert np.all(encoder(black)[0])


def rows_of(flat, side, axis):
    """A flat array [1, side * side * channels] as rows or, for axis 1, as columns."""
    return np.moveaxis(np.reshape(flat, [side, side, -1]), axis, 0)


@pytest.mark.parametrize("axis", [0, 1])
def test_an_image_moved_by_four_pixels_moves_the_encoders_maps_by_one_cell(axis, rng):
    encoder, x = ResNetEncoder(SHAPE, CHANNELS, 1, True, [128], rng, tf.float64), rng.uniform(size=[32, 32, 3])
    whole, moved = (
        rows_of(encoder(tf.constant(image.reshape(1, -1)))[0], 8, axis) for image in (x, np.roll(x, 4, axis))
    )
    np.testing.assert_allclose(moved[4:6], whole[3:5], rtol=1e-9)
    assert not np.any(np.isclose(moved[4:6], whole[4:6]))


@pytest.mark.parametrize("axis", [0, 1])
def test_maps_moved_by_one_cell_move_the_decoded_image_by_four_pixels(axis, rng):
    decoder, z = ResNetDecoder(128, SHAPE, CHANNELS, 1, True, [3], rng, tf.float64), rng.normal(size=[8, 8, 2])
    whole, moved = (
        rows_of(decoder(tf.constant(maps.reshape(1, -1)))[0], 32, axis) for maps in (z, np.roll(z, 1, axis))
    )
    np.testing.assert_allclose(moved[16:20], whole[12:16], rtol=1e-9)
    assert not np.any(np.isclose(moved[16:20], whole[16:20]))


@MAPS
@pytest.mark.parametrize("batch", [(1,), (4,), (3, 4)])
@pytest.mark.parametrize("outputs", [[3], [1, 3]])
def test_a_decoder_keeps_the_leading_axes(batch, outputs, maps, rng, scramble):
    decoder = scramble(ResNetDecoder(LATENTS, SHAPE, CHANNELS, 1, maps, outputs, rng, tf.float64), scale=0.2)
    z = rng.normal(size=[*batch, LATENTS])
    whole = decoder(tf.constant(z))
    assert [output.shape for output in whole] == [(*batch, PIXELS // 3 * size) for size in outputs]
    for place in np.ndindex(*batch):
        for output, alone in zip(whole, decoder(tf.constant(z[place][None])), strict=True):
            np.testing.assert_allclose(alone[0], output[place], rtol=1e-9, atol=1e-12)


def test_the_outputs_of_a_decoder_are_arrays_of_their_own(rng):
    first, second = ResNetDecoder(LATENTS, SHAPE, CHANNELS, 1, False, [3, 3], rng)(tf.ones([1, LATENTS]))
    assert np.mean(first == second) < 0.01


@MAPS
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_weights_and_outputs_are_of_the_networks_dtype(dtype, maps, rng):
    encoder = ResNetEncoder(SHAPE, CHANNELS, 1, maps, [LATENTS], rng, dtype)
    decoder = ResNetDecoder(LATENTS, SHAPE, CHANNELS, 1, maps, [3], rng, dtype)
    assert {variable.dtype for variable in (*encoder.variables, *decoder.variables)} == {dtype}
    assert decoder(encoder(tf.zeros([1, PIXELS], dtype))[0])[0].dtype == dtype
