"""Laws of the launcher of pods: it names the right pod, resumes the work if possible, and leaves an empty cluster."""

import os
import signal
import threading

import pytest
from kube_world import BAD, LIMIT, WRONG, fails, rights, wait_until, waits_for_a_machine, well

from kubeflow.workers import launcher
from kubeflow.workers.manifests import GRACE_SECONDS, job_manifest, policy_manifest, service_manifest
from kubeflow.workers.worker_set import JOB_SECONDS, LOST_SECONDS, SETTLE_SECONDS
from trainer.errors import InterruptError, UserError
from trainer.workers.launch import WorkerError


def test_the_launch_returns_when_all_have_succeeded(world, said):
    world.launch(well)
    assert world.jobs == 1
    assert "epoch 0" in said()
    assert "epoch 1" not in said()  # only the chief is shown


def test_the_objects_follow_the_manifests(world):
    world.launch(well, workers=3)
    (job,), (service,) = world.kube.state.created["Job"], world.kube.state.created["Service"]
    assert job["spec"] == job_manifest(world.cluster, world.name, world.folder, 3, None)["spec"]
    assert service["spec"] == service_manifest(world.cluster, world.name, "")["spec"]
    (policy,) = world.kube.state.created["NetworkPolicy"]
    assert policy["spec"] == policy_manifest(world.cluster, world.name, "")["spec"]
    for part in (service, policy):
        (owner,) = part["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", world.name, job["metadata"]["uid"])


def test_workers_are_protected_before_they_find_each_other(world):
    world.launch(well)
    created = [request for request in world.kube.requests if request.startswith("create")]
    assert created == ["create jobs", "create networkpolicies", "create services"]


def test_the_launcher_uses_exactly_the_rights_of_its_role(world):
    world.launch(fails(1, 137), waits_for_a_machine(world))
    made = {
        tuple(request.split("/")[0].split()) if "/log" not in request else ("get", "pods/log")
        for request in world.kube.requests
    }
    assert made == rights()


@pytest.mark.parametrize(
    "end",
    [
        lambda run: run.ended(1),
        lambda run: run.ended(137),
        lambda run: run.ended(137, "OOMKilled"),
        lambda run: run.evicted("The node was low on resource: memory."),
        lambda run: run.disrupted("EvictionByEvictionAPI", "drained"),
        lambda run: run.ended(143),
        lambda run: run.state.delete("Pod", run.name),
    ],
)
def test_when_a_worker_is_lost_all_start_again_once(world, said, end):
    def lost(run):
        run.running()
        if run.index == 1:
            end(run)
        run.stopping.wait(LIMIT)

    world.launch(lost, well)
    assert world.jobs == 2
    assert any(line.startswith(f"worker 1 of 2 (pod {world.name}-1-") for line in said()), said()


def test_a_restart_takes_little_longer_than_its_pods(world):
    """On a cluster 40 s passed between the loss of a worker and the next step, most of them in the pods."""
    ended = []

    def lost(run):
        run.running()
        if run.index == 1:
            run.state.delete("Pod", run.name)
            world.clock.run()
        run.stopping.wait(LIMIT)
        ended.append(world.clock.time())

    def started(run):
        ended.append(world.clock.time())
        well(run)

    world.launch(lost, started)
    first, *_, last = ended
    assert 0 <= last - first < 15


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
            world.hold(run, SETTLE_SECONDS + 1)
            looks = run.state.listed["Pod"]
            wait_until(lambda: run.state.listed["Pod"] > looks + 3)  # the launcher waits to start
            alive.remove(run)
        else:
            run.ended(0)

    world.launch(counted)
    assert world.jobs == 2
    assert max(most) == 2


def test_a_worker_that_is_lost_too_often_is_named_with_the_end_of_its_log(world):
    world.set(restarts=1)
    with pytest.raises(WorkerError) as error:
        world.launch(fails(1, 137))
    failure = error.value.failure
    first, *tail = failure.sentence.splitlines()
    assert first.startswith(f"worker 1 of 2 (pod {world.name}-1-")
    assert tail == [f"line {line}" for line in range(10, 20)]
    assert failure.value == 137
    assert world.jobs == 2


def test_a_workers_failure_is_reported_with_its_name(world, said):
    """Each time, because nothing is left of its pod."""
    world.set(restarts=1)
    with pytest.raises(WorkerError) as error:
        world.launch(fails(1, 1, WRONG))
    failure = error.value.failure
    assert failure.sentence.startswith(f"worker 1 of 2 (pod {world.name}-1-")
    assert failure.sentence.endswith(WRONG.sentence)
    assert (failure.value, failure.valid, failure.remedy, failure.cause) == (7, "8", "Do this", "that")
    assert len([line for line in said() if WRONG.sentence in line]) == world.jobs == 2


@pytest.mark.parametrize("bad", [0, 1])
def test_bad_input_of_a_worker_is_reported_and_not_retried(world, bad):
    with pytest.raises(UserError) as error:
        world.launch(fails(bad, 2, BAD))
    assert error.value.failure == BAD
    assert world.jobs == 1


def test_the_failure_is_known_without_the_log(world):
    world.kube.fail("get pods/log", 500, times=999)
    with pytest.raises(UserError) as error:
        world.launch(fails(1, 2, BAD))
    assert error.value.failure == BAD


def test_the_end_of_the_log_is_known_from_the_status_alone(world):
    world.set(restarts=0)
    world.kube.fail("get pods/log", 500, times=999)
    with pytest.raises(WorkerError) as error:
        world.launch(fails(1, 137))
    assert error.value.failure.sentence.splitlines()[1:] == [f"line {line}" for line in range(10, 20)]


def test_a_container_that_cannot_start_is_not_retried(world):
    with pytest.raises(WorkerError) as error:
        world.launch(fails(1, 128, reason="StartError", message='exec: "python": not found'))
    assert error.value.failure.value == 128
    assert world.jobs == 1


@pytest.mark.parametrize(("cause", "error"), [(137, WorkerError), (2, UserError), (143, InterruptError)])
def test_of_several_failures_the_cause_is_reported(world, monkeypatch, cause, error):
    """The consequence comes first: another machine may take longer to report."""
    world.set(restarts=0)
    sync = world.kube.state.sync  # the Job controller, which is too late to delete a pod
    monkeypatch.setattr(world.kube.state, "sync", lambda job: "deletionTimestamp" in job["metadata"] and sync(job))

    def both(run):
        run.running()
        if run.index == 1:
            first = next(r for r in run.state.runs.values() if r.index == 0)
            wait_until(first.has_ended)
            world.noticed(first)
        run.ended(cause if run.index else 1, message=BAD.to_json() if cause == 2 and run.index else "")

    with pytest.raises(error) as found:
        world.launch(both)
    if cause == 137:
        assert found.value.failure.value == 137


def test_a_worker_that_the_failed_job_deletes_is_not_the_cause(world):
    world.set(restarts=0)
    with pytest.raises(WorkerError) as error:
        world.launch(fails(0, 1, WRONG))
    assert error.value.failure.value == WRONG.value


def test_restarts_count_from_the_last_checkpoint(world):
    """A training that makes progress may lose a worker now and then, for weeks."""
    world.set(restarts=1)

    def progresses(run):
        if run.index == 1 and world.jobs < 4:
            os.mkdir(os.path.join(os.path.dirname(world.folder), f"step-{world.jobs:09d}"))
        fails(1, 137)(run)

    with pytest.raises(WorkerError) as error:
        world.launch(progresses)
    assert error.value.failure.value == 137
    assert world.jobs == 4  # three with progress and one without


def progress(world):
    """Saves a checkpoint, a new one in each Job."""
    os.makedirs(os.path.join(os.path.dirname(world.folder), f"step-{world.jobs:09d}"), exist_ok=True)


def test_workers_that_make_progress_may_not_be_lost_all_day(world):
    world.set(restarts=1, daily_restarts=3)

    def progresses(run):
        progress(world)
        fails(1, 137)(run)

    with pytest.raises(WorkerError) as error:
        world.launch(progresses)
    assert error.value.failure.value == 137
    assert world.jobs == 4


def test_losses_of_the_day_before_do_not_count(world, monkeypatch):
    monkeypatch.setattr(launcher, "DAY", 100)  # seconds, within a lease
    world.set(restarts=1, daily_restarts=1)

    def progresses(run):
        progress(world)
        run.running()
        if run.index == 1:
            world.hold(run, 100)
        fails(1, 137)(run)

    world.launch(progresses, progresses, progresses, well)
    assert world.jobs == 4


def test_workers_that_are_stopped_too_often_stop_the_run(world):
    world.set(restarts=1)
    with pytest.raises(InterruptError) as error:
        world.launch(fails(1, 143))
    assert error.value.exit_code == 143
    assert world.jobs == 2


def test_a_lost_machine_is_named_and_no_new_worker_writes_beside_its_own(world):
    """The pod is told to stop, as when its node is gone, and does not."""
    world.set(start_seconds=60)
    runs = []

    def lost(run):
        run.running(node=f"node-{run.index}")
        if run.index == 1:
            runs.append(run)
            run.disrupted("DeletionByTaintManager", "node is unreachable")
            world.hold(run, GRACE_SECONDS + LOST_SECONDS - 1)
            world.noticed(run)
            assert not any(request.startswith("delete jobs") for request in world.kube.requests)
            world.clock.advance(2)
            world.clock.run()
        run.stopping.wait(LIMIT)
        wait_until(lambda: run.index == 0 or not run.is_there())

    try:
        with pytest.raises(WorkerError) as error:
            world.launch(lost)
        assert f"{runs[0].name} on node-1" in error.value.failure.remedy
        assert world.jobs == 1
    finally:
        runs[0].ended(137)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_launcher_lets_all_workers_save(world, number):
    saved = []

    def save(run):
        run.running()
        if run.index == 1:
            os.kill(os.getpid(), number)
        assert run.stopping.wait(LIMIT)
        saved.append(run.manifest["metadata"]["deletionGracePeriodSeconds"])

    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(InterruptError) as error:
        world.launch(save)
    assert error.value.failure.value == number.name
    wait_until(lambda: len(saved) == 2)
    assert min(saved) > 30
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_ends_the_wait_for_an_api_that_does_not_answer(world):
    world.kube.fail("create jobs", 503, times=99999)

    def interrupt():
        wait_until(lambda: world.kube.requests.count("create jobs") > 3)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
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


def test_a_job_that_disappears_without_its_pods_is_an_interrupt(world):
    def orphaned(run):
        run.running()
        if run.index == 0:
            run.state.delete("Job", world.name, "Orphan")
            world.hold(run, JOB_SECONDS)
        wait_until(lambda: any(request.startswith("delete jobs") for request in world.kube.requests))
        run.state.delete("Pod", run.name)

    with pytest.raises(InterruptError):
        world.launch(orphaned)


def test_a_job_that_fails_without_pods_is_reported(world, monkeypatch):
    world.set(restarts=0)
    monkeypatch.setattr(world.kube.state, "start_pods", lambda job: world.kube.state.fail(job, "Other", "its words"))
    world.clock.run()
    with pytest.raises(WorkerError) as error:
        world.launch(well)
    assert error.value.failure.cause == "its words"
