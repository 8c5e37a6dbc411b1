"""Laws of a start for which there are too few machines: all workers start or none, and none of them holds a machine."""

import os
import signal
import threading

import pytest
from kube_machines import Crowd
from kube_scenarios import FULL, QUOTA, least, let_pass, refuse, rejected
from kube_world import LIMIT, wait_until, well

from kubeflow.workers.start import MAX_PAUSE_SECONDS, PAUSE_SECONDS, PLACE_SECONDS
from trainer.errors import InterruptError
from trainer.failure import Kind
from trainer.workers.launch import WorkerError


@pytest.fixture
def crowd(tmp_path):
    """Makes a `Crowd`, whose cluster must be empty at the end."""
    made = []

    def make(machines, start_seconds=3600, jobs=1):
        made.append(Crowd(tmp_path, machines, start_seconds, jobs))
        return made[-1]

    yield make
    for crowd in made:
        wait_until(lambda: {kind for kind, _ in crowd.kube.state.objects} <= {"Event"})  # noqa: B023
        crowd.kube.stop()


def test_two_runs_that_hold_each_others_machines_both_finish(crowd):
    crowd = crowd(machines=2, jobs=2)
    crowd.launch("one", "other")
    assert crowd.errors == {"one": None, "other": None}
    assert len(crowd.jobs) > 2  # so each had one machine at first
    assert crowd.machines.most == 2


def test_machines_that_appear_later_are_used(crowd):
    crowd = crowd(machines=1)

    def add():
        wait_until(lambda: len(crowd.jobs) == 2)
        crowd.machines.count = 2

    threading.Thread(target=add, daemon=True).start()
    crowd.launch("run")
    assert crowd.errors == {"run": None}


def test_a_start_that_never_finds_machines_ends_in_time_and_leaves_nothing(crowd):
    crowd = crowd(machines=1, start_seconds=400)
    began = crowd.clock.time()
    crowd.launch("run")
    failure = crowd.errors["run"].failure
    assert failure.kind == Kind.INFRASTRUCTURE
    assert failure.cause == "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu"
    assert 2 <= len(crowd.jobs) <= 400 / PLACE_SECONDS
    assert crowd.clock.time() - began > PLACE_SECONDS


def test_each_try_is_told_in_one_line(world, said):
    world.launch(rejected(world), rejected(world), well, uniform=least)
    assert world.jobs == 3
    tries = [line for line in said() if "0/3 nodes are available" in line and "trying again" in line]
    assert len(tries) == 2


def test_a_pause_begins_when_the_machines_are_free(world, said):
    """A worker that waits for the others does not hear SIGTERM; Kubernetes kills it after its grace."""
    told = []

    def deaf(run):
        if run.index:
            return rejected(world)(run)
        run.running()
        run.stopping.wait(LIMIT)
        looks = run.state.listed["Pod"]
        wait_until(lambda: run.state.listed["Pod"] > looks + 3)
        told.extend(line for line in said() if "trying again" in line)
        return run.ended(137)

    world.launch(deaf, well, uniform=least)
    assert world.jobs == 2
    assert not told


def test_pauses_grow_to_a_limit_and_are_random(world):
    world.set(start_seconds=20000)
    drawn = []

    def uniform(low, high):
        drawn.append((low, high))
        return 0.1

    world.launch(*[rejected(world)] * 8, well, uniform=uniform)
    assert [low + high for low, high in drawn[:4]] == [2 * PAUSE_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert drawn[-1][0] + drawn[-1][1] == 2 * MAX_PAUSE_SECONDS
    assert all(high == 3 * low for low, high in drawn)


def test_a_launcher_between_two_tries_holds_nothing_and_ends_at_a_signal(world, said):
    seen = []

    def look():
        wait_until(lambda: any("trying again" in line for line in said()))
        seen.append(world.left())
        first, slept = len(world.kube.requests), world.clock.slept
        wait_until(lambda: world.clock.slept > slept + 1)
        seen.append([request for request in world.kube.requests[first:] if not request.endswith(" pods")])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, daemon=True).start()
    with pytest.raises(InterruptError):
        world.launch(rejected(world), uniform=lambda low, high: high)
    assert seen == [[], []]
    assert world.jobs == 1


def test_the_tries_of_a_start_are_those_since_the_last_loss(world):
    """A training that runs for weeks may find no machine every day."""
    world.set(start_seconds=int(PLACE_SECONDS) + 60)

    def lost(run):
        run.running()
        if run.index == 1:
            world.clock.advance(1000)
            run.ended(137)
        else:
            run.stopping.wait(LIMIT)

    world.launch(rejected(world), lost, rejected(world), well, uniform=least)
    assert world.jobs == 4


def test_a_full_quota_is_tried_again(world, said):
    refuse(world, FULL, jobs=2)
    world.launch(well, uniform=least)
    assert world.jobs == 3
    assert len([line for line in said() if "exceeded quota" in line and "trying again" in line]) == 2


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (QUOTA.format("requests.cpu=6,requests.memory=64Gi"), "2 times 4"),
        (QUOTA.format("requests.cpu=8,requests.memory=15Gi"), "2 times 8Gi"),
        ('Error creating: pods "w" is forbidden: maximum cpu usage per Container is 2, but limit is 4', 0),
    ],
)
def test_pods_that_can_never_be_created_are_bad_input(world, message, value):
    refuse(world, message)
    with pytest.raises(WorkerError) as error:
        world.launch(well)
    failure = error.value.failure
    assert (failure.kind, failure.value, failure.cause) == (Kind.BAD_INPUT, value, message)
    assert world.jobs == 1


def test_pods_that_are_missing_for_no_known_reason_are_waited_for(world, monkeypatch):
    """A queue creates the pods of a Job when it is its turn."""
    began = world.clock.time()
    start = world.kube.state.start_pods

    def late(job):
        let_pass(world, 2 * PLACE_SECONDS)
        threading.Timer(0.5, start, [job]).start()

    monkeypatch.setattr(world.kube.state, "start_pods", late)
    world.launch(well)
    assert world.clock.time() - began > PLACE_SECONDS
    assert world.jobs == 1
