"""Laws of a Job that a queue holds back: its wait is its own, and its machines may be taken back."""

import pytest
from kube_scenarios import least, queued, rejected, taken_back
from kube_world import held_in_queue, leave, wait_until, well

from kubeflow.workers.worker_set import JOB_SECONDS
from trainer.workers.launch import WorkerError


def test_the_wait_in_a_queue_is_not_one_for_machines(world):
    world.set(queue="gpus", queue_seconds=3600, start_seconds=60)
    held_in_queue(world, 3599)
    world.launch(well)
    assert world.jobs == 1
    assert world.kube.state.listed["Event"] == 0


def test_the_tries_of_a_start_leave_out_the_wait_in_a_queue(world):
    """A queue lets a Job go whose pods then find no machine, such as one that is broken."""
    world.set(queue="gpus", queue_seconds=3600, start_seconds=200)
    held_in_queue(world, 3599)

    def first(run):
        held_in_queue(world, 3599, job=2)
        rejected(world)(run)

    world.launch(lambda run: first(run) if run.index else rejected(world)(run), well, uniform=least)
    assert world.jobs == 2


def test_the_wait_in_a_queue_ends(world):
    with pytest.raises(WorkerError) as error:
        queued(3600)(world)
    assert error.value.failure.value == 3600
    assert world.jobs == 1


def test_a_job_that_was_in_a_queue_has_its_lease_from_its_start(world):
    """Kubernetes counts the deadline from there."""
    world.set(queue="gpus")
    held_in_queue(world, 3600)
    world.launch(lambda run: (run.running(), world.hold(run, 120), world.noticed(run), run.ended(0)))
    assert world.kube.state.deadlines[-1] < 3600


def test_workers_whose_machines_were_taken_back_queue_again(world, said):
    taken_back(world)
    assert world.jobs == 2
    assert [job["spec"]["suspend"] for job in world.kube.state.created["Job"]] == [True, True]


def test_workers_that_still_save_when_the_queue_took_their_machines_are_not_waited_for_in_it(world):
    def save(run):
        if run.index == 1:
            world.clock.advance(JOB_SECONDS)
        wait_until(lambda: any(request.startswith("delete jobs") for request in world.kube.requests))

    taken_back(world, save)
    assert world.jobs == 2


def test_a_job_in_a_queue_is_adopted(world, said):
    world.set(queue="gpus")
    leave(world, script=well)
    held_in_queue(world, 1800)
    world.launch(well)
    assert world.jobs == 1
    assert any("already running" in line for line in said())
