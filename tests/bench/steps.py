"""Measures training steps of this project, of the seed's loop and of PyTorch against the machine's limits."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Iterator

from tests.bench import ours, seed_loop
from tests.bench.data import SHAPE, random_images
from tests.bench.flops import flops_per_image
from tests.bench.limits import Limits, Meter, adam_bytes
from tests.bench.rounds import Contestant, interleave, measurer, ratio
from tests.bench.rows import Row
from tests.bench.torch_parent import torch_contestants
from trainer.model.build import build
from trainer.presets import PRESETS
from trainer.settings import TrainConfig

BATCH_SIZES = (32, 128, 256)
ROUNDS = 12
IMAGES = 10_000
LONG_STEPS = 2  # per call with convolutions: a call as in training takes ten seconds longer than a round
SEED = "seed's loop"


def rows(torch_python: str) -> list[Row]:
    """Measures a row for each contestant, and the limits."""
    meter = Meter()
    with torch_contestants(torch_python, BATCH_SIZES) as baselines:
        contestants = [*_tensorflow_contestants(), *baselines]
        rates = interleave(contestants, ROUNDS, before_round=meter)
    measured = list(zip(contestants, rates, strict=True))
    seed_rates = {contestant.batch_size: rates for contestant, rates in measured if contestant.name == SEED}
    steps = [_row(contestant, rates, seed_rates, meter.rounds) for contestant, rates in measured]
    return [*_limit_rows(meter.highest()), *steps]


def _tensorflow_contestants() -> Iterator[Contestant]:
    images = random_images(IMAGES)
    for size in BATCH_SIZES:
        config = dataclasses.replace(PRESETS["seed"], batch_size=size)
        yield Contestant(SEED, size, measurer(seed_loop.train(config, images)))
    for name, preset in PRESETS.items():
        for size in BATCH_SIZES:
            config = dataclasses.replace(preset, batch_size=size)
            at_once = LONG_STEPS if _flops(name) > _flops(SEED) else None
            yield Contestant(name, size, measurer(ours.train(config, images, steps=at_once)))


def _row(contestant: Contestant, rates: list[float], seed_rates: dict[int, list[float]], limits: list[Limits]) -> Row:
    """Builds the row of a contestant; each ratio compares measurements of the same round."""
    name, size, _ = contestant
    flops, weights = _flops(name), parameters(_preset(name))
    products = [limit.flops / flops for limit in limits]  # images/s
    products_and_adam = [size / limit.step_seconds(flops * size, weights) for limit in limits]
    return Row(
        name,
        size,
        statistics.median(rates),
        ratio(rates, seed_rates[size]) if flops == _flops(SEED) else None,
        fraction_of_gemm_limit=ratio(rates, products),
        more={"of_gemm_and_adam": ratio(rates, products_and_adam), "slowest": min(rates), "fastest": max(rates)},
    )


def _preset(name: str) -> TrainConfig:
    """Returns the recipe with the contestant's networks: the seed's, exactly or nearly, if it is not a preset."""
    return PRESETS.get(name, PRESETS["seed"])


@functools.cache
def _flops(name: str) -> int:
    """Returns the operations per image and training step; networks with the seed's count are the seed's."""
    return flops_per_image(_preset(name)).training


def parameters(config: TrainConfig) -> int:
    """Returns the number of weights that `config` trains."""
    return sum(math.prod(variable.shape) for variable in build(config, SHAPE).trainable_variables)


def _limit_rows(limits: Limits) -> list[Row]:
    count = parameters(PRESETS["mlp"])
    adam = {"parameters": count, "bytes": adam_bytes(count), "seconds": limits.adam_seconds(count)}
    flops = flops_per_image(PRESETS["mlp"]).training
    return [
        Row("limit: float32 matrix product", more={"gigaflops": limits.flops / 1e9}),
        Row("limit: memory", more={"gigabytes_per_second": limits.bandwidth / 1e9}),
        Row("limit: Adam of mlp", more=adam),
        Row("limit: products of mlp", None, limits.flops / flops, None, 1.0, {"megaflops_per_image": flops / 1e6}),
    ]
