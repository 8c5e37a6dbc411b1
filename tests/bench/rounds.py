"""Lets contestants take turns, so that other work on the machine slows all of them. Knows no framework."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

ROUND_SECONDS = 0.5
WARM_UP = 2  # unmeasured turns, for tracing, compilation and caches


class Contestant(NamedTuple):
    """A program that processes images."""

    name: str
    batch_size: int | None  # None: it has no batches
    measure: Callable[[], float]  # runs for about ROUND_SECONDS and returns images per second


def measurer(work: Iterator[int], clock: Callable[[], float] = time.perf_counter) -> Callable[[], float]:
    """Returns `Contestant.measure` for an iterator that yields the number of images of each turn.

    `time.process_time` as the clock counts the seconds of the process's threads, which other processes add little to.
    """
    for _ in range(WARM_UP):
        next(work)

    def measure() -> float:
        images, start = 0, clock()
        while (seconds := clock() - start) < ROUND_SECONDS:
            images += next(work)
        return images / seconds

    return measure


def interleave(
    contestants: Sequence[Contestant], rounds: int, before_round: Callable[[], None] = lambda: None
) -> list[list[float]]:
    """Returns the images per second of each contestant in each round: A, B, C, A, B, C, ..."""
    rates: list[list[float]] = [[] for _ in contestants]
    for _ in range(rounds):
        before_round()
        for contestant, measured in zip(contestants, rates, strict=True):
            measured.append(contestant.measure())
    return rates


def ratio(rates: Sequence[float], base: Sequence[float]) -> float:
    """Returns the median speed-up over rounds; whatever slows a whole round cancels."""
    return statistics.median(a / b for a, b in zip(rates, base, strict=True))
