"""Laws of the lease: workers run as long as a launcher follows them, and little longer."""

import os
import subprocess
import sys
import textwrap

import pytest
from kube_world import LIMIT, ROOT, forever, leave, wait_until, well

from kubeflow.workers.lease import LEASE_SECONDS, RENEW_SECONDS
from trainer.workers.launch import WorkerError

KILLED = """
    import sys
    from kubernetes import client
    from kubeflow.spec.cluster import Cluster, Volume
    from kubeflow.workers.launcher import launch_pods

    url, folder = sys.argv[1:]
    cluster = Cluster(image="vaeiaf:1", namespace="training", volume=Volume(claim="vaeiaf"))
    launch_pods(cluster, client.ApiClient(client.Configuration(host=url)))(folder, 2)
"""


def renewals(world):
    return len(world.kube.state.deadlines)


def test_workers_end_with_their_lease_when_their_launcher_is_killed(world):
    """They are told to stop, not killed."""
    world.scripts = [forever]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), world.kube.url, world.folder]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}) as launcher:
        wait_until(lambda: renewals(world))
        launcher.kill()
    world.clock.advance(LEASE_SECONDS - 1)
    assert not world.kube.state.get("Job", world.name)["status"].get("conditions")
    world.clock.advance(LIMIT)  # by its own clock, the launcher renewed the lease somewhat later
    (condition,) = world.kube.state.get("Job", world.name)["status"]["conditions"]
    assert condition["reason"] == "DeadlineExceeded"
    assert all(run.stopping.is_set() for run in world.kube.state.runs.values())
    assert world.jobs == 1
    world.kube.state.delete("Job", world.name)  # in place of its time to live


@pytest.mark.parametrize("adopted", [False, True])
def test_workers_outlive_one_lease_while_a_launcher_follows_them(world, adopted):
    def long(run):
        run.running()
        for count in range(1, 4) if run.index == 0 else ():
            wait_until(lambda: renewals(world) >= count)  # noqa: B023
            world.clock.advance(LEASE_SECONDS - 1)
        wait_until(lambda: renewals(world) >= 4)
        run.ended(0)

    if adopted:
        leave(world, script=long)
        world.clock.advance(LEASE_SECONDS - 1)
    world.launch(long)
    assert world.jobs == 1
    assert max(world.kube.state.deadlines) > 2 * LEASE_SECONDS


def test_a_fresh_lease_is_not_renewed(world):
    def long(run):
        run.running()
        if run.index == 0:
            for _ in range(4):
                world.hold(run, RENEW_SECONDS / 2)
            world.noticed(run)
        run.ended(0)

    world.launch(long)
    assert renewals(world) == 3


def test_the_lease_ends_at_the_deadline_of_the_training(world):
    world.set(deadline_seconds=1000)

    def long(run):
        run.running()
        if run.index == 0:
            world.hold(run, 800)
            world.hold(run, 201)
        run.stopping.wait(LIMIT)

    with pytest.raises(WorkerError) as error:
        world.launch(long)
    assert error.value.failure.value == 1000
    assert world.kube.state.deadlines == [900, 1000]
    assert world.jobs == 1, "a training that takes too long is not started again"


def test_a_training_survives_a_lease_that_runs_out(world):
    """It runs out when the launcher's machine sleeps."""

    def ran_out(run):
        run.running()
        if run.index == 0:
            world.noticed(run)  # a pod that the launcher has never seen is none to it
            (job,) = run.state.owners(run.pod)
            run.state.fail(job, "DeadlineExceeded", "")
        run.stopping.wait(LIMIT)

    world.launch(ran_out, well)
    assert world.jobs == 2


def test_workers_that_kubernetes_ends_at_the_deadline_are_not_lost(world):
    """The launcher's own deadline comes a moment later."""
    world.set(deadline_seconds=2)

    def questions():
        return sum(request.startswith("get jobs") for request in world.kube.requests)

    def ended(run):
        run.running()
        asked = questions()
        if run.index == 0:
            world.kube.fail("get jobs", 503, times=99999)
            world.hold(run, 2)
        assert run.stopping.wait(LIMIT)
        run.ended(143)
        if run.index == 0:
            wait_until(lambda: questions() > asked)  # the launcher knows that its workers have ended
            world.clock.advance(1)
            world.kube.faults.clear()

    with pytest.raises(WorkerError) as error:
        world.launch(ended)
    assert error.value.failure.value == 2
    assert world.jobs == 1


def test_an_adopted_job_has_no_new_deadline(world):
    """The deadline is that of the training, which began with the Job."""
    world.set(deadline_seconds=1000)

    def long(run):
        run.running()
        if run.index == 0:
            wait_until(lambda: renewals(world))
            world.clock.advance(201)
        run.stopping.wait(LIMIT)

    leave(world, script=long)
    world.clock.advance(800)
    with pytest.raises(WorkerError) as error:
        world.launch(forever)
    assert error.value.failure.value == 1000
    assert world.jobs == 1
