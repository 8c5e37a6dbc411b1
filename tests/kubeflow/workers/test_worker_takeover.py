"""Laws of successive launchers: each follows or removes what the one before left, and touches nothing else."""

import os
import threading

import pytest
from kube_world import LIMIT, fails, forever, leave, serve, wait_until, well

from kubeflow.workers import launcher as worker_pods
from kubeflow.workers.manifests import job_manifest
from trainer.workers.launch import WorkerError


def test_a_running_job_is_followed_to_its_end(world, said):
    def slow(run):
        run.running()
        run.log("epoch 1")
        world.noticed(run)
        run.log("epoch 2")
        run.ended(0)

    leave(world, script=slow)
    world.launch(slow)
    assert world.jobs == 1
    assert [line for line in said() if line.startswith("epoch")] == ["epoch 1", "epoch 2"]


def test_an_adopted_job_that_is_deleted_starts_again(world):
    def deleted(run):
        run.running()
        if run.index == 0:
            wait_until(lambda: any("watch" in request for request in world.kube.requests))
            run.state.delete("Job", world.name)
        run.stopping.wait(LIMIT)

    leave(world, script=deleted)
    world.launch(deleted, well)
    assert world.jobs == 2


@pytest.mark.parametrize("with_weights", [True, False])
def test_finished_work_is_not_repeated_if_its_result_exists(world, with_weights):
    leave(world, script=well)
    wait_until(lambda: world.kube.state.get("Job", world.name)["status"].get("conditions"))
    if with_weights:
        os.mkdir(os.path.join(world.folder, "weights"))
    world.launch(well)
    assert world.jobs == (1 if with_weights else 2)


@pytest.mark.parametrize("how", ["failed", "other", "going"])
def test_a_job_that_cannot_be_followed_is_replaced(world, how):
    leave(world, script=fails(1, 1) if how == "failed" else forever, workers=3 if how == "other" else 2)
    if how == "failed":
        wait_until(lambda: world.kube.state.get("Job", world.name)["status"].get("conditions"))
    if how == "going":
        wait_until(lambda: all(r.pod["status"]["phase"] == "Running" for r in world.kube.state.runs.values()))
        world.kube.state.delete("Job", world.name, "Foreground")
    world.launch(forever, well)
    assert world.jobs == 2


def test_a_new_job_waits_for_pods_whose_job_is_gone(world):
    """They may still write a checkpoint."""
    alive, most = set(), []

    def slow(run):
        run.running()
        alive.add(run.uid)
        most.append(len(alive))
        if world.jobs == 1:
            run.stopping.wait(LIMIT)
            looks = run.state.listed["Pod"]
            wait_until(lambda: run.state.listed["Pod"] > looks + 3)
        alive.remove(run.uid)
        run.ended(0)

    leave(world, script=slow)
    wait_until(lambda: len(alive) == 2)
    world.kube.state.delete("Job", world.name)
    world.launch(slow)
    assert world.jobs == 2
    assert max(most) == 2


def test_the_job_of_a_later_launcher_is_left_alone(world, monkeypatch):
    """A launcher that was cut off finds the Job of its successor under its own Job's name."""
    clean_up = worker_pods._Training._clean_up
    manifest = job_manifest(world.cluster, world.name, world.folder, 2, None)

    def late(training):
        world.kube.state.delete("Job", world.name)
        job = world.kube.state.create("Job", manifest)
        serve(world, job)
        clean_up(training)

    monkeypatch.setattr(worker_pods._Training, "_clean_up", late)
    world.launch(well, forever)
    assert {kind for kind, _ in world.left()} == {"Job", "Service", "NetworkPolicy", "Pod"}
    world.kube.state.delete("Job", world.name)


@pytest.mark.parametrize("kind", ["Service", "NetworkPolicy"])
def test_an_adopted_job_without_its_objects_gets_them(world, kind):
    leave(world, script=forever)
    world.kube.state.delete(kind, world.name)

    def found(run):
        run.running()
        wait_until(lambda: len(world.kube.state.created[kind]) == 2)
        run.ended(0)

    for run in list(world.kube.state.runs.values()):
        threading.Thread(target=found, args=[run], daemon=True).start()
    world.launch(found)
    assert world.jobs == 1


@pytest.mark.parametrize("kind", ["Job", "Service", "NetworkPolicy"])
def test_the_wait_for_an_old_object_to_go_ends(world, monkeypatch, kind):
    """A finalizer may keep it."""
    world.set(start_seconds=60)
    create = world.kube.state.create
    monkeypatch.setattr(world.kube.state, "create", lambda k, manifest: None if k == kind else create(k, manifest))
    world.clock.run()
    with pytest.raises(WorkerError) as error:
        world.launch(forever)
    assert error.value.failure.value == f"{kind} {world.name}"
