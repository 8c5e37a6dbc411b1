"""Measures the limits of the machine: the speed of a large matrix product, and of memory."""

import time
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

GEMM_SIZE = 2000
TRIES = 5
ADAM_BYTES = 28  # per parameter and step, float32: reads weight, mean, variance and gradient, writes the first three
BANDWIDTH_FLOATS = 14_000_000  # two arrays: as much memory as Adam's four arrays for the default networks


class Limits(NamedTuple):
    """Speeds of the machine."""

    flops: float  # per second, of a float32 product of square matrices
    bandwidth: float  # bytes per second, of adding one array to another

    def step_seconds(self, flops: float, parameters: int) -> float:
        """Returns the time of only the arithmetic and the Adam update of a training step."""
        return flops / self.flops + self.adam_seconds(parameters)

    def adam_seconds(self, parameters: int) -> float:
        """Returns the time of the memory traffic of one Adam update."""
        return adam_bytes(parameters) / self.bandwidth


def adam_bytes(parameters: int) -> int:
    """Returns the bytes that one Adam update must move."""
    return ADAM_BYTES * parameters


class Meter:
    """A meter of the limits, called repeatedly because other work on the machine lowers them at times."""

    def __init__(self) -> None:
        self.rounds: list[Limits] = []  # one for each call
        self._a, self._b = (tf.random.normal([GEMM_SIZE, GEMM_SIZE]) for _ in range(2))
        self._sum, self._term = tf.Variable(tf.zeros([BANDWIDTH_FLOATS])), tf.ones([BANDWIDTH_FLOATS])

    def __call__(self) -> None:
        flops = 2 * GEMM_SIZE**3 / _best_seconds(lambda: tf.matmul(self._a, self._b).numpy())
        bandwidth = 3 * 4 * BANDWIDTH_FLOATS / _best_seconds(lambda: self._sum.assign_add(self._term))
        self.rounds.append(Limits(flops, bandwidth))

    def highest(self) -> Limits:
        """Returns the highest limits of all calls."""
        return Limits(*map(max, zip(*self.rounds, strict=True)))


def _best_seconds(work: Callable[[], object]) -> float:
    def seconds() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return min(seconds() for _ in range(TRIES))
