"""Laws of the launcher of pods, over HTTP against an emulated API: whatever happens, the right pod is named, the work
goes on where it can, and nothing is left in the cluster."""

import os
import re
import signal
import threading
import time

import pytest
from kube_world import LIMIT, fails, forever, rights, wait_until, waits_for_a_machine, well

from kubeflow.workers import worker_set
from kubeflow.workers.manifests import job_manifest, service_manifest
from trainer.errors import InterruptError, UserError
from trainer.workers.launch import WorkerError


def test_returns_when_all_have_ended_well(world, said):
    world.launch(well)
    assert world.jobs == 1
    assert "epoch 0" in said()
    assert "epoch 1" not in said()  # not the chief


def test_what_is_made_is_what_the_manifests_say(world):
    world.launch(well, workers=3)
    (job,), (service,) = world.kube.state.created["Job"], world.kube.state.created["Service"]
    assert job["spec"] == job_manifest(world.cluster, world.name, world.folder, 3, None)["spec"]
    assert service["spec"] == service_manifest(world.cluster, world.name, "")["spec"]
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", world.name, job["metadata"]["uid"])


def test_the_calls_that_the_role_allows_are_made_and_no_others(world):
    world.launch(fails(1, 137), waits_for_a_machine)
    made = {
        tuple(request.split("/")[0].split()) if "/log" not in request else ("get", "pods/log")
        for request in world.kube.requests
    }
    assert made == rights()


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (lambda run: run.ended(1), "ended with exit code 1"),
        (lambda run: run.ended(137), "was killed by SIGKILL"),
        (
            lambda run: run.ended(137, "OOMKilled"),
            "was killed (OOMKilled): it needs more memory than workers.pod.memory",
        ),
        (lambda run: run.evicted("The node was low on resource: memory."), "was lost (Evicted): The node was low on"),
        (lambda run: run.disrupted("EvictionByEvictionAPI", "drained"), "was lost (EvictionByEvictionAPI): drained"),
        (lambda run: run.ended(143), "was killed by SIGTERM"),
        (lambda run: run.state.delete("Pod", run.name), "was killed by SIGTERM"),
    ],
)
def test_when_a_worker_is_lost_all_start_again_once(world, said, end, how):
    def lost(run):
        run.running()
        if run.index == 1:
            end(run)
        run.stopping.wait(LIMIT)

    world.launch(lost, well)
    assert world.jobs == 2
    assert any(line.startswith(f"worker 1 of 2 (pod {world.name}-1-") and how in line for line in said()), said()
    assert "starting all workers again, time 1 of at most 3 without a new checkpoint" in said()


def test_workers_start_again_only_when_all_of_them_have_ended(world):
    """Two sets at once would write the same checkpoints."""
    alive, most = [], []

    def counted(run):
        run.running()
        alive.append(run)
        most.append(len(alive))
        if world.jobs == 1 and run.index == 1:
            wait_until(lambda: len(alive) == 2)
            alive.remove(run)
            run.ended(137)
        elif world.jobs == 1:
            run.stopping.wait(LIMIT)
            time.sleep(0.5)  # a checkpoint
            alive.remove(run)
        else:
            run.ended(0)

    world.launch(counted)
    assert world.jobs == 2
    assert max(most) == 2


def test_a_worker_that_is_lost_too_often_is_shown_with_the_end_of_its_log(world):
    world.set(restarts=1)
    with pytest.raises(WorkerError) as error:
        world.launch(fails(1, 137))
    first, *tail = str(error.value).splitlines()
    assert first.startswith(f"worker 1 of 2 (pod {world.name}-1-")
    assert first.endswith(") was killed by SIGKILL; its log ends:")
    assert tail == [*(f"line {line}" for line in range(11, 20)), "trainer: what is wrong"]
    assert world.jobs == 2


def test_what_a_worker_could_not_do_is_told_in_its_words_too_with_its_name(world, said):
    """As a worker on this machine; each time, as nothing is left of its pod."""
    world.set(restarts=1)
    with pytest.raises(WorkerError) as error:
        world.launch(fails(1, 1))
    told = re.compile(rf"worker 1 of 2 \(pod {world.name}-1-\w+\): what is wrong")
    assert told.fullmatch(str(error.value))
    assert len([line for line in said() if told.fullmatch(line)]) == world.jobs == 2


@pytest.mark.parametrize("bad", [0, 1])
def test_a_users_mistake_is_told_in_the_workers_words_and_not_tried_again(world, bad):
    with pytest.raises(UserError, match=r"^what is wrong$"):
        world.launch(fails(bad, 2))
    assert world.jobs == 1


def test_the_last_words_are_known_without_the_log(world):
    world.kube.fail("get pods/log", 500, times=999)
    with pytest.raises(UserError, match=r"^from the status$"):
        world.launch(fails(1, 2, message="trainer: from the status\nand more"))


def test_a_worker_that_was_never_one_is_not_tried_again(world):
    with pytest.raises(WorkerError, match=r"could not be started \(StartError\): exec: \"python\""):
        world.launch(fails(1, 128, reason="StartError", message='exec: "python": not found'))
    assert world.jobs == 1


@pytest.mark.parametrize(("cause", "error"), [(137, WorkerError), (2, UserError), (143, InterruptError)])
def test_of_several_that_end_together_the_one_that_is_no_consequence_is_named(world, monkeypatch, cause, error):
    """The consequence comes first: what another machine says may take longer."""
    world.set(restarts=0)
    sync = world.kube.state.sync  # the Job controller, which comes too late to delete anybody
    monkeypatch.setattr(world.kube.state, "sync", lambda job: "deletionTimestamp" in job["metadata"] and sync(job))

    def both(run):
        run.running()
        run.log("trainer: what is wrong")
        if run.index == 1:
            wait_until(lambda: next(r for r in run.state.runs.values() if r.index == 0).has_ended())
            time.sleep(0.1)
        run.ended(cause if run.index else 1)

    with pytest.raises(error) as found:
        world.launch(both)
    if cause == 137:
        assert str(found.value).startswith("worker 1 of 2")


def test_a_worker_that_the_failed_job_deletes_takes_no_blame(world):
    world.set(restarts=0)
    with pytest.raises(WorkerError, match=r"worker 0 of 2 .*: what is wrong"):
        world.launch(fails(0, 1))


def test_restarts_count_from_the_last_checkpoint(world):
    """A training that comes further may lose a worker now and then, for weeks."""
    world.set(restarts=1)

    def comes_further(run):
        if run.index == 1 and world.jobs < 4:
            os.mkdir(os.path.join(os.path.dirname(world.folder), f"step-{world.jobs:09d}"))
        fails(1, 137)(run)

    with pytest.raises(WorkerError, match="was killed by SIGKILL"):
        world.launch(comes_further)
    assert world.jobs == 4  # 3 that came further, and 1 that did not


def test_told_to_stop_too_often_the_run_is_one_that_may_go_on(world):
    world.set(restarts=1)
    with pytest.raises(InterruptError) as error:
        world.launch(fails(1, 143))
    assert error.value.exit_code == 143
    assert world.jobs == 2


def test_a_training_that_takes_too_long_is_ended(world):
    world.set(deadline_seconds=1)
    with pytest.raises(WorkerError, match=r"within 1 s, workers\.deadline_seconds .*; the next try of this run \("):
        world.launch(forever)
    assert world.jobs == 1


def test_a_machine_that_does_not_answer_is_named_and_nobody_writes_beside_its_worker(world, monkeypatch):
    """It is told to stop, as it is when its node is gone, and does not."""
    monkeypatch.setattr(worker_set, "LOST_SECONDS", -44.0)  # a second, with the grace
    world.set(start_seconds=2)
    runs = []

    def lost(run):
        run.running(node=f"node-{run.index}")
        if run.index == 1:
            runs.append(run)
            run.disrupted("DeletionByTaintManager", "node is unreachable")
        run.stopping.wait(LIMIT)
        while run.index == 1 and run.is_there():
            time.sleep(0.02)

    try:
        with pytest.raises(WorkerError, match=rf"not gone 2 s .* \({world.name}-1-\w+ on node-1\): .* delete its node"):
            world.launch(lost)
        assert world.jobs == 1
    finally:
        runs[0].ended(137)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_launcher_leaves_nothing_and_lets_all_save(world, number):
    saved = []

    def save(run):
        run.running()
        if run.index == 1:
            os.kill(os.getpid(), number)
        assert run.stopping.wait(LIMIT)
        saved.append(run.manifest["metadata"]["deletionGracePeriodSeconds"])

    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(InterruptError, match=number.name):
        world.launch(save)
    wait_until(lambda: len(saved) == 2)
    assert min(saved) > 30
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_ends_the_wait_for_an_api_that_does_not_answer(world):
    world.kube.fail("create jobs", 503, times=99999)
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGTERM]).start()
    with pytest.raises(InterruptError):
        world.launch(well)


def test_a_job_that_somebody_deletes_is_an_interrupt(world):
    def deleted(run):
        run.running()
        if run.index == 0:
            run.state.delete("Job", world.name)
        run.stopping.wait(LIMIT)

    with pytest.raises(InterruptError):
        world.launch(deleted)
    assert world.jobs == 1
