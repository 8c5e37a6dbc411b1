"""Checkpoints take their share of the time, and no more than their cost forces them to."""

import itertools
import math
import random

import pytest

from trainer.training.pace import Pace


class Training:
    """A training by a clock of its own, whose checkpoints cost what `costs` says, in seconds."""

    def __init__(self, share, costs, longest=math.inf):
        self.now, self.costs, self.paused, self.saves = 0.0, iter(costs), 0.0, []
        self.pace = Pace(share, longest, lambda: self.now)

    def save(self):
        with self.pace.pause():
            self.saves.append(self.now)
            cost = next(self.costs)
            self.now, self.paused = self.now + cost, self.paused + cost

    def train(self, calls, seconds, epoch=math.inf):
        """Trains for so many calls, each of which takes some seconds, with a checkpoint after every `epoch` calls."""
        for number in range(1, calls + 1):
            self.now += seconds
            if number % epoch == 0 or self.pace.is_due():
                self.save()

    @property
    def share(self):
        return self.paused / self.now


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("cost", [0.02, 0.3, 4.0])
def test_checkpoints_of_a_steady_cost_take_their_share_and_come_at_even_intervals(share, cost):
    training, interval = Training(share, itertools.repeat(cost)), cost / share
    call = interval / 100
    training.train(10_000, call)
    assert training.saves[0] == call
    assert all(0.999 * interval < b - a < 1.02 * interval for a, b in itertools.pairwise(training.saves))
    assert training.share == pytest.approx(share, rel=0.03)


def test_checkpoints_of_a_cost_that_varies_take_their_share():
    rng = random.Random(0)
    training = Training(0.01, (rng.lognormvariate(-1.0, 1.0) for _ in itertools.count()))
    training.train(100_000, seconds=0.25)
    assert 0.0095 < training.share <= 0.01


def test_a_cost_that_has_grown_is_heeded_at_once():
    training = Training(0.01, itertools.chain([0.1, 20.0], itertools.repeat(0.1)))
    training.train(30_000, seconds=0.1)
    intervals = [b - a for a, b in itertools.pairwise(training.saves)]
    assert intervals[:3] == pytest.approx([10.0, 2000.0, 10.0], abs=0.11)


def test_the_ends_of_epochs_have_theirs_at_any_cost_and_are_paid_like_the_others():
    training = Training(0.01, itertools.repeat(0.5))
    training.train(10_000, seconds=1.0, epoch=70)
    assert len(training.saves) > 1.2 * 10_000 // 70, "and some in between"
    assert training.share == pytest.approx(0.01, rel=0.05)

    short = Training(0.01, itertools.repeat(0.5))
    short.train(1_000, seconds=1.0, epoch=10)
    assert len(short.saves) == 101, "the first, and the ends of epochs, which take more than the share"


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_none_is_older_than_the_longest_time_at_any_cost(share):
    training = Training(share, itertools.repeat(30.0), longest=60.0)
    training.train(1_000, seconds=1.0)
    saved = [start + 30.0 for start in training.saves]
    later = [start - end for end, start in zip(saved, training.saves[1:], strict=False)]
    assert later == [60.0] * len(later)
    assert training.saves[0] == (1.0 if share else 60.0)


def test_without_a_share_none_is_due_by_cost():
    training = Training(0.0, [])
    training.train(1_000, seconds=3600.0)
    assert not training.saves


def test_with_all_the_time_as_their_share_one_follows_every_call():
    training = Training(1.0, itertools.repeat(5.0))
    training.train(100, seconds=1.0)
    assert len(training.saves) == 100
