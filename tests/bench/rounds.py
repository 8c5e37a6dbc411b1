"""Contestants take turns, so that what else the machine does meets all of them. Knows no framework."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

ROUND_SECONDS = 0.5
WARM_UP = 2  # turns of work, for tracing, compilation and caches


class Contestant(NamedTuple):
    """Something that works through images."""

    name: str
    batch_size: int
    measure: Callable[[], float]  # works for about ROUND_SECONDS and returns images per second


def measurer(work: Iterator[int]) -> Callable[[], float]:
    """`Contestant.measure` of an iterator whose every turn does some work and yields the number of its images."""
    for _ in range(WARM_UP):
        next(work)

    def measure() -> float:
        images, start = 0, time.perf_counter()
        while (seconds := time.perf_counter() - start) < ROUND_SECONDS:
            images += next(work)
        return images / seconds

    return measure


def interleave(
    contestants: Sequence[Contestant], rounds: int, before_round: Callable[[], None] = lambda: None
) -> list[list[float]]:
    """Images per second of each contestant in each round: A, B, C, A, B, C, ..."""
    rates: list[list[float]] = [[] for _ in contestants]
    for _ in range(rounds):
        before_round()
        for contestant, measured in zip(contestants, rates, strict=True):
            measured.append(contestant.measure())
    return rates


def ratio(rates: Sequence[float], base: Sequence[float]) -> float:
    """The median over rounds of how many times faster `rates` are: what slows a whole round cancels."""
    return statistics.median(a / b for a, b in zip(rates, base, strict=True))
