"""Laws of the lease: workers go on as long as somebody follows them, and not much longer."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from kube_world import LIMIT, ROOT, forever, leave, wait_until, well

from kubeflow.workers import lease as worker_lease
from trainer.workers.launch import WorkerError


@pytest.fixture
def short_lease(monkeypatch):
    monkeypatch.setattr(worker_lease, "LEASE_SECONDS", 2.0)
    monkeypatch.setattr(worker_lease, "RENEW_SECONDS", 0.2)


KILLED = """
    import sys
    from kubernetes import client
    from kubeflow.workers import lease as worker_lease
    from kubeflow.workers import worker_set
    from kubeflow.spec.cluster import Cluster
    from kubeflow.workers.launcher import launch_pods

    worker_lease.LEASE_SECONDS, worker_lease.RENEW_SECONDS = 3.0, 0.2
    url, folder = sys.argv[1:]
    cluster = Cluster(**{"image": "vaeiaf:1", "namespace": "training", "volume": {"claim": "vaeiaf"}})
    launch_pods(cluster, client.ApiClient(client.Configuration(host=url)))(folder, 2)
"""


def test_workers_outlive_a_launcher_that_is_killed_by_no_more_than_their_lease(world):
    """And are told to stop, not killed. As long as it lived they went on."""
    ended = threading.Event()

    def long(run):
        run.running()
        run.stopping.wait(LIMIT)
        ended.set()

    world.scripts = [long]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), world.kube.url, world.folder]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}) as launcher:
        wait_until(lambda: world.jobs)
        assert not ended.wait(5)
        launcher.kill()
    assert ended.wait(5)
    (condition,) = world.kube.state.get("Job", world.name)["status"]["conditions"]
    assert condition["reason"] == "DeadlineExceeded"
    assert world.jobs == 1
    world.kube.state.delete("Job", world.name)  # as its time to live does


def test_a_job_that_was_adopted_is_kept_at_work(world, short_lease):
    def slow(run):
        run.running()
        if not run.stopping.wait(4):
            run.ended(0)

    leave(world, script=slow)
    world.launch(slow)
    assert world.jobs == 1


def test_the_lease_ends_at_the_deadline_of_the_training(world, short_lease):
    world.set(deadline_seconds=3)
    with pytest.raises(WorkerError, match="did not end within 3 s"):
        world.launch(forever)
    assert max(world.kube.state.deadlines) in (3, 4)  # the Job began in the middle of a second


def test_a_lease_that_ran_out_is_no_end_of_the_training(world, said):
    """Such as for a launcher whose machine slept."""

    def ran_out(run):
        run.running()
        if run.index == 0:
            (job,) = run.state.owners(run.pod)
            run.state.fail(job, "DeadlineExceeded", "")
        run.stopping.wait(LIMIT)

    world.launch(ran_out, well)
    assert world.jobs == 2
    assert any("its lease could not be renewed in time" in line for line in said())


def test_workers_that_kubernetes_ends_at_the_deadline_are_not_lost(world):
    """Though the launcher comes to know of it late."""
    world.set(deadline_seconds=2)

    def ended(run):
        run.running()
        if run.index == 0:
            world.kube.fail("get jobs", 503, times=99999)
        assert run.stopping.wait(LIMIT)
        if run.index == 0:
            time.sleep(0.5)
            world.kube.faults.clear()

    with pytest.raises(WorkerError, match=r"did not end within 2 s, workers\.deadline_seconds"):
        world.launch(ended)
    assert world.jobs == 1


def test_an_adopted_job_has_no_new_deadline(world):
    """It is that of the training, which began with its Job."""
    world.set(deadline_seconds=3)
    leave(world)
    time.sleep(1.5)
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"did not end within 3 s, workers\.deadline_seconds"):
        world.launch(forever)
    assert time.monotonic() - began < 2
