"""The benchmark's counts agree with counts by hand and with TensorFlow's profiler."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.bench.data import SHAPE
from tests.bench.flops import flops_per_image, multiply_adds
from trainer.model.build import build
from trainer.model.objective import draw
from trainer.model.resnet import Conv
from trainer.settings import TrainConfig

HIDDEN, LATENTS, MADE_HIDDEN, STEPS, C = 20, 6, 8, 2, 4
MLPS = TrainConfig(hidden_size=HIDDEN, latent_size=LATENTS, iaf_steps=STEPS, iaf_hidden_size=MADE_HIDDEN, iaf_layers=2)
RESNETS = dataclasses.replace(MLPS, encoder="GaussianResNet", decoder="DiscretizedLogisticResNet", channels=C)

HEADS = 2 * LATENTS + HIDDEN
MLP_ENCODER, MLP_DECODER = (SHAPE.size + HEADS) * HIDDEN, (LATENTS + SHAPE.size) * HIDDEN
CONVOLUTIONS = [  # input side, kernel side, stride, input channels, output channels
    *[(32, 4, 2, 3, C), (16, 3, 1, C, C), (16, 3, 1, C, C)],
    *[(16, 4, 2, C, 2 * C), (8, 3, 1, 2 * C, 2 * C), (8, 3, 1, 2 * C, 2 * C)],
    *[(8, 3, 1, 2 * C, 2 * C), (8, 3, 1, 2 * C, 2 * C), (8, 3, 1, 2 * C, 4 * C)],
    *[(16, 3, 1, C, C), (16, 3, 1, C, C), (16, 3, 1, C, 4 * 2 * 3)],
]
FEATURES = 8 * 8 * 2 * C
RESNET_DENSE = FEATURES * HEADS + LATENTS * FEATURES


def made():
    """Returns the multiply-adds of a MADE, from the degrees of its units."""

    def connections(degree_in, degree_out):
        return sum(i <= o for i in degree_in for o in degree_out)

    position, degree = range(1, LATENTS + 1), [i * LATENTS // MADE_HIDDEN for i in range(MADE_HIDDEN)]
    outputs = 2 * connections(degree, [p - 1 for p in position])
    return connections(position, degree) + connections(degree, degree) + outputs + HIDDEN * MADE_HIDDEN


def made_without_masks():
    """Of small layers, which are of one block; the last latent, which no output sees, has no weights."""
    return (LATENTS - 1 + MADE_HIDDEN + 2 * LATENTS + HIDDEN) * MADE_HIDDEN


def convolution(side, kernel, stride, inputs, outputs):
    """Returns the multiply-adds with pixels inside the image."""
    out = -(-side // stride)
    before = max((out - 1) * stride + kernel - side, 0) // 2
    inside = sum(0 <= i * stride + k - before < side for i in range(out) for k in range(kernel))
    return inside**2 * inputs * outputs


def convolution_with_padding(side, kernel, stride, inputs, outputs):
    return (-(-side // stride) * kernel) ** 2 * inputs * outputs


def test_mlps_and_the_flow_count_as_by_hand():
    total = MLP_ENCODER + STEPS * made() + MLP_DECODER
    assert flops_per_image(MLPS) == (2 * total, 2 * (3 * total - SHAPE.size * HIDDEN))


def test_resnets_count_as_by_hand():
    total = sum(convolution(*c) for c in CONVOLUTIONS) + RESNET_DENSE + STEPS * made()
    assert flops_per_image(RESNETS) == (2 * total, 2 * (3 * total - convolution(*CONVOLUTIONS[0])))


@pytest.mark.parametrize("sizes", [(8, 3, 1, 2, 3), (32, 4, 2, 2, 3), (16, 3, 2, 2, 3), (5, 3, 2, 2, 3)])
def test_a_convolution_counts_what_lies_inside_the_image(sizes):
    side, kernel, stride, inputs, outputs = sizes
    layer = Conv(inputs, outputs, kernel, stride, np.random.default_rng(0))
    assert multiply_adds(lambda: layer(tf.ones([1, side, side, inputs]))) == [convolution(*sizes)]


def test_several_draws_share_the_encoder_and_the_context():
    one, three = (dataclasses.replace(MLPS, objective="iwae", train_samples=k) for k in (1, 3))
    of_a_draw = STEPS * (made() - HIDDEN * MADE_HIDDEN) + MLP_DECODER
    assert flops_per_image(three).forward - flops_per_image(one).forward == 2 * 2 * of_a_draw


@pytest.mark.parametrize(
    ("config", "products"),
    [
        (MLPS, MLP_ENCODER + MLP_DECODER),
        (RESNETS, sum(convolution_with_padding(*c) for c in CONVOLUTIONS) + RESNET_DENSE),
    ],
    ids=["mlps", "resnets"],
)
def test_the_model_has_no_other_products(config, products):
    """The profiler counts every operation of the graph and ignores masks and padding."""
    model = build(config, SHAPE)
    x, eps = tf.zeros([1, SHAPE.size]), tf.zeros([1, 1, LATENTS])
    graph = tf.function(lambda: draw(model, x, eps).elbo()).get_concrete_function().graph
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    kinds = ["MatMul", "BatchMatMulV2", "Conv2D"]
    options = builder(builder.float_operation()).with_accounted_types(kinds).with_empty_output().build()
    profile = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    assert profile.total_float_ops == 2 * (products + STEPS * made_without_masks())
