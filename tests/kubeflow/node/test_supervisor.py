"""Attempts at a task, with work and a clock that a test controls."""

import types

import pytest

from kubeflow.node.attempts import read_attempts
from kubeflow.node.supervisor import supervise
from kubeflow.spec.cluster import Retries
from kubeflow.spec.contract import ARGO_NODE
from kubeflow.spec.tasks import VERDICT
from kubeflow.workers.clock import Clock
from trainer.failure import Failure, Kind, leave, left

AWAY = Failure(Kind.INFRASTRUCTURE, "the database does not answer")
BUG = Failure(Kind.BUG, "KeyError: 'x'")
BAD = Failure(Kind.BAD_INPUT, "the loss is nan", value="nan", remedy="Lower learning_rate")
REFUSED = Failure(Kind.REFUSED, "the ELBO is low")
STOPPED = Failure(Kind.STOPPED, "interrupted by SIGTERM", value="SIGTERM")


class LostError(Exception):
    """The pod is gone, with whatever ran in it."""


class Pods:
    """The pods of one task; `run` returns the next one's exit code."""

    def __init__(self, folder, monkeypatch):
        self.now, self.pauses, self.told, self.worked = 1000.0, [], [], 0
        self.retries = Retries(count=2, seconds=30, factor=2, within_seconds=10_000)
        self._folder, self._monkeypatch = folder, monkeypatch

    @property
    def task(self):
        cluster = types.SimpleNamespace(retries=self.retries)
        files = {name: str(self._folder / name) for name in ("error_file", "attempts_file")}
        return types.SimpleNamespace(cluster=cluster, nodes=(VERDICT,), **files)

    def run(self, number, *failures, seconds=100.0):
        """Runs pod `number` of Argo, whose work ends with these failures, each after `seconds`."""
        self._monkeypatch.setenv(ARGO_NODE, f"vaeiaf-x7k2p.root.train.executor({number})")
        ends = iter(failures)

        def work():
            self.worked += 1
            self.now += seconds
            failure = next(ends)
            if failure is LostError:
                raise LostError
            if failure:
                leave(failure, self.task.error_file)
            return failure

        def sleep(pause):
            self.pauses.append(pause)
            self.now += pause

        try:
            return supervise(self.task, work, self.told.append, Clock(time=lambda: self.now, sleep=sleep))
        except LostError:
            return None
        finally:
            assert next(ends, "all") == "all"

    @property
    def failures(self):
        return [attempt.failure for attempt in read_attempts(self.task.attempts_file)]


@pytest.fixture
def pods(tmp_path, monkeypatch):
    return Pods(tmp_path, monkeypatch)


def test_work_that_succeeds_is_done_once(pods):
    assert (pods.run(0, None), pods.worked, pods.pauses, pods.told) == (0, 1, [], [])


@pytest.mark.parametrize("failure", [AWAY, BUG])
def test_what_may_pass_is_tried_again_after_growing_pauses(pods, failure):
    assert pods.run(0, failure, failure, None) == 0
    assert pods.pauses == [30, 60]
    assert pods.failures == [failure, failure, None]
    assert sum(str(failure) in line for line in pods.told) == 2


def test_after_the_last_retry_the_failure_is_left(pods):
    assert pods.run(0, AWAY, AWAY, AWAY) == 1
    assert left(pods.task.error_file) == AWAY


@pytest.mark.parametrize(("failure", "code"), [(BAD, 2), (REFUSED, 3), (STOPPED, 143)])
def test_what_another_attempt_would_repeat_or_may_not_start_is_final(pods, failure, code):
    assert (pods.run(0, failure), pods.worked) == (code, 1)
    assert left(pods.task.error_file) == failure


@pytest.mark.parametrize(("failures", "code"), [([BAD], 2), ([REFUSED], 3), ([AWAY] * 3, 1)])
def test_where_argo_starts_another_pod_after_every_failure_that_pod_does_not_work(pods, failures, code):
    pods.run(0, *failures)
    for number in (1, 2, 10):
        assert (pods.run(number), pods.worked) == (code, len(failures))
        assert left(pods.task.error_file) == failures[-1]
    assert f"not tried again, because the pod before gave up: {failures[-1]}" in pods.told[-1]


def test_a_lost_pod_costs_no_retry_and_gives_none_back(pods):
    assert pods.run(0, AWAY, LostError) is None
    assert pods.run(1, AWAY, None) == 0
    assert pods.failures == [AWAY, None, AWAY, None]
    assert pods.run(2, AWAY) == 1, "the third failure of the task"


def test_a_pod_that_was_told_to_stop_is_no_failure_of_the_work(pods):
    assert pods.run(0, STOPPED) == 143
    assert pods.run(1, AWAY, AWAY, None) == 0


def test_a_pod_that_is_lost_between_two_attempts_leaves_nothing_final(pods):
    def lost(_):
        raise LostError

    with pytest.raises(LostError):
        supervise(pods.task, lambda: leave(AWAY, pods.task.error_file) or AWAY, print, Clock(sleep=lost))
    assert pods.run(1, None) == 0


def test_retry_in_the_ui_starts_anew(pods):
    assert pods.run(0, BAD) == 2
    assert pods.run(0, AWAY, AWAY, None) == 0


def test_no_attempt_starts_after_within_seconds(pods):
    pods.retries = Retries(count=9, seconds=30, factor=2, within_seconds=400)
    assert pods.run(0, AWAY, AWAY, AWAY) == 1, "starts at 0, 130, 290; the next would be at 510"
    assert pods.pauses == [30, 60]


def test_without_retries_there_is_one_attempt(pods):
    pods.retries = Retries(count=0)
    assert (pods.run(0, AWAY), pods.worked) == (1, 1)


def test_a_damaged_record_of_attempts_ends_nothing(pods):
    pods.run(0, LostError)
    with open(pods.task.attempts_file, "w") as file:
        file.write('{"start": ')
    assert pods.run(1, None) == 0


def test_an_attempt_is_a_sentence_for_people(pods):
    pods.run(0, AWAY, LostError)
    assert [str(attempt) for attempt in read_attempts(pods.task.attempts_file)] == [
        "1970-01-01 00:16:40 UTC: the database does not answer",
        "1970-01-01 00:18:50 UTC: the pod was lost",
    ]
