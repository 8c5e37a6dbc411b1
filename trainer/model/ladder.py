"""The ladder: a hierarchy of latent feature maps, inferred from the top downwards.

    p(x, z) = p(x | z) prod_l p(z_l | z_<l),   q(z | x) = prod_l q(z_l | z_<l, x)

A path upwards computes features of the image at each scale; a path downwards meets them, one stochastic layer after
another (Sønderby et al., 2016, arXiv 1602.02282; Kingma et al., 2016, arXiv 1606.04934, section 5 and appendix C.3).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainer.model.flows import FlowStep, flow_step
from trainer.model.ladder_blocks import LayerDraw, MaskedConvs, Prior, StochasticLayer
from trainer.model.latent_model import Joint, LatentModel
from trainer.model.likelihoods import LIKELIHOODS, Likelihood
from trainer.model.resnet import Conv, Layer, ResidualBlock, Upsample, as_rows, flat_parts
from trainer.settings import TrainConfig
from trainer.shape import Shape

SCALES = 3  # the latents' sides are 1/2, 1/4 and 1/8 of the image's

Choice = Callable[[int, Prior], tf.Tensor]  # (number of the layer, its prior) -> z [N, H, W, Z]


class Rung(tf.Module):
    """A scale of the ladder.

    Args:
      shrink: maps the features of the next finer scale, or an image, to this scale.
      up: residual blocks of the path upwards, those before each stochastic layer.
      down: stochastic layers, in the order of the path downwards.
      grow: maps the features of this scale to the next finer one, or to the parameters of p(x|z).
    """

    def __init__(
        self, shrink: Layer, up: Sequence[Sequence[Layer]], down: Sequence[StochasticLayer], grow: Layer
    ) -> None:
        super().__init__()
        self.shrink, self.up, self.down, self.grow = shrink, [list(blocks) for blocks in up], list(down), grow


class Ladder(LatentModel):
    """The model. Its latents z are the layers' feature maps, flattened, the top layer's first.

    A group of `groups` is one feature map of one layer, whose KL `free_bits` counts together (appendix C.8).

    Args:
      shape: of the images.
      likelihood: the family of p(x|z).
      rungs: the scales, the finest first.
      channels: feature maps of the top scale.
      latents: latent channels of each stochastic layer.
    """

    def __init__(
        self,
        shape: Shape,
        likelihood: type[Likelihood],
        rungs: Sequence[Rung],
        channels: int,
        latents: int,
        dtype: tf.DType = tf.float32,
    ) -> None:
        sides = scale_sides(shape)
        maps = [(*side, latents) for side, rung in zip(sides, rungs, strict=True) for _ in rung.down][::-1]
        numbers = [np.arange(math.prod(sides)) % latents + i * latents for i, sides in enumerate(maps)]
        super().__init__(likelihood, np.concatenate(numbers))
        self._shape, self._maps = shape, tuple(maps)
        self.rungs = list(rungs)
        self.top = tf.Variable(tf.zeros([*sides[-1], channels], dtype), name="top")

    @property
    def scales(self) -> dict[str, int]:
        """The scales from the top downwards: the sides of their maps, and how many latents their layers have."""
        sizes: dict[str, int] = {}
        for height, width, latents in self._maps:
            name = f"{height}x{width}"
            sizes[name] = sizes.get(name, 0) + height * width * latents
        return sizes

    def joint(self, x: tf.Tensor, eps: tf.Tensor) -> Joint:
        """Draws each layer from its posterior, from the top downwards; see LatentModel."""
        below = [_repeated(part, eps) for part in self._ascend(x)]
        noise, draws = self._as_maps(eps), list[LayerDraw]()

        def infer(number: int, prior: Prior) -> tf.Tensor:
            draws.append(self._layers[number].infer(prior, below[number], noise[number]))
            return draws[-1].z

        pixels = self._descend(infer, eps)
        z, log_q, log_prior = (_flat(parts, eps) for parts in zip(*draws, strict=True))
        return Joint(z, log_q, log_prior, pixels)

    def decode(self, z: tf.Tensor) -> Likelihood:
        """Returns p(x|z) for z [..., L]."""
        given = self._as_maps(z)
        return self._descend(lambda number, _: given[number], z)

    def sample(self, eps: tf.Tensor) -> tf.Tensor:
        """Returns mean images, [N, D], of z_l = mu_p + sigma_p eps_l from the top downwards; see LatentModel."""
        noise = self._as_maps(eps)

        def draw(number: int, prior: Prior) -> tf.Tensor:
            return prior.p.loc + tf.exp(0.5 * prior.p.logvar) * noise[number]

        return self._descend(draw, eps).mean()

    def _ascend(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Returns the image's part of each layer's posterior, [B, H, W, 2 Z + F], the top layer's first."""
        features, d = list[tf.Tensor](), tf.reshape(2.0 * x - 1.0, [-1, *self._shape])
        for rung in self.rungs:
            d = rung.shrink(d)
            for blocks in rung.up:
                for block in blocks:
                    d = block(d)
                features.append(d)
        return [layer.look_below(d) for layer, d in zip(self._layers, reversed(features), strict=True)]

    def _descend(self, choose: Choice, flat: tf.Tensor) -> Likelihood:
        """Walks down with the latents that `choose` returns, as many as rows of `flat` [..., L], to p(x|z)."""
        h = tf.broadcast_to(self.top, tf.concat([[tf.size(flat) // self.latent_size], self.top.shape], axis=0))
        number = 0
        for rung in reversed(self.rungs):
            for layer in rung.down:
                prior = layer.look_above(h)
                h = layer.absorb(h, prior, choose(number, prior))
                number += 1
            h = rung.grow(tf.nn.elu(h))
        sizes = self.likelihood.outputs(self._shape.channels)
        return self.likelihood.from_network(*flat_parts(h, sizes, tf.shape(flat)[:-1]))

    @property
    def _layers(self) -> list[StochasticLayer]:
        """The stochastic layers from the top downwards."""
        return [layer for rung in reversed(self.rungs) for layer in rung.down]

    def _as_maps(self, flat: tf.Tensor) -> list[tf.Tensor]:
        """Splits [..., L] into the layers' maps, [N, H, W, Z] each, with the leading axes merged."""
        parts = tf.split(flat, [math.prod(sides) for sides in self._maps], axis=-1)
        return [tf.reshape(part, [-1, *sides]) for part, sides in zip(parts, self._maps, strict=True)]


def _flat(maps: Sequence[tf.Tensor], like: tf.Tensor) -> tf.Tensor:
    """Joins maps [N, H, W, Z] to one flat array, with the leading axes of `like` [..., L]."""
    return tf.concat([as_rows(part, tf.shape(like)[:-1]) for part in maps], axis=-1)


def _repeated(features: tf.Tensor, eps: tf.Tensor) -> tf.Tensor:
    """Repeats features [B, H, W, F] for the draws of noise [..., B, L], with the leading axes merged."""
    if eps.shape.rank == 2:
        return features
    many = tf.broadcast_to(features, tf.concat([tf.shape(eps)[:-2], tf.shape(features)], axis=0))
    return tf.reshape(many, [-1, *features.shape[1:]])


def scale_sides(shape: Shape) -> list[tuple[int, int]]:
    """Returns height and width of the feature maps of each scale, the finest first: halves, rounded up."""
    return [(-(-shape.height // 2**k), -(-shape.width // 2**k)) for k in range(1, SCALES + 1)]


def build_ladder(config: TrainConfig, shape: Shape, dtype: tf.DType = tf.float32) -> Ladder:
    """Builds the ladder of images of `shape` that `config` describes, with weights drawn from its seed."""
    rng = np.random.default_rng(config.seed)
    likelihood, channels = LIKELIHOODS[config.likelihood], config.channels
    outer = sum(likelihood.outputs(shape.channels))
    rungs = []
    for k, finer in enumerate([(shape.height, shape.width), *scale_sides(shape)[:-1]]):
        rungs.append(
            Rung(
                Conv(channels if k else shape.channels, channels, 4, 2, rng, dtype),
                [
                    [ResidualBlock(channels, rng, dtype) for _ in range(config.blocks)]
                    for _ in range(config.ladder_layers)
                ],
                [_layer(config, rng, dtype) for _ in range(config.ladder_layers)],
                Upsample(channels, channels if k else outer, *finer, rng, dtype),
            )
        )
    return Ladder(shape, likelihood, rungs, channels, config.latent_channels, dtype)


def _layer(config: TrainConfig, rng: np.random.Generator, dtype: tf.DType) -> StochasticLayer:
    channels, latents = config.channels, config.latent_channels
    context = config.iaf_hidden_size if config.iaf_steps else 0
    steps = [_step(config, bool(k % 2), rng, dtype) for k in range(config.iaf_steps)]
    return StochasticLayer(channels, latents, context, steps, rng, dtype)


def _step(config: TrainConfig, backwards: bool, rng: np.random.Generator, dtype: tf.DType) -> FlowStep:
    sizes = config.iaf_hidden_size, config.iaf_layers, config.iaf_hidden_size
    return flow_step(config, lambda biases: MaskedConvs(config.latent_channels, backwards, *sizes, biases, rng, dtype))
