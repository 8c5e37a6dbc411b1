"""Laws of how long pods that do not run are waited for: short where nothing is going to help, long where it may."""

import time

import pytest
from kube_world import LIMIT, forever, wait_until, waits_for_a_machine, well

from kubeflow.workers import start as worker_start
from kubeflow.workers.kube_errors import ApiError
from trainer.workers.launch import WorkerError

WORDS = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available."
UNSCHEDULABLE = f"Unschedulable: {WORDS}"


@pytest.fixture(autouse=True)
def bounded(world):
    """A wait that should be short and is not ends all the same."""
    world.set(start_seconds=8)


def second(act):
    """A script in which `act(run)` becomes of the second worker; the first one runs."""
    return lambda run: act(run) if run.index else forever(run)


def refused(run):
    run.unschedulable(WORDS)


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"]
)
def test_an_image_that_does_not_come_is_told_in_the_kubelets_words(world, reason):
    with pytest.raises(WorkerError, match=rf"worker 1 of 2 .* cannot be started: {reason}: vaeiaf:1: not found"):
        world.launch(second(lambda run: run.waiting(reason, "vaeiaf:1: not found")))
    assert world.jobs == 1


def test_an_image_that_comes_after_all_is_waited_for(world, monkeypatch):
    monkeypatch.setattr(worker_start, "HOPELESS_SECONDS", LIMIT)

    def late(run):
        run.waiting("ErrImagePull", "the registry is busy")
        time.sleep(0.3)
        well(run)

    world.launch(late)


def test_a_pod_for_which_nobody_has_a_machine_ends_the_wait_soon_in_the_schedulers_words(world):
    """Argo tries again what ends with 1, with longer and longer pauses: another run may hold the machines."""
    with pytest.raises(WorkerError) as error:
        world.launch(second(refused))
    said = str(error.value)
    assert said.startswith(f"worker 1 of 2 (pod {world.name}-1-")
    assert f"has no machine after 0 s, and no autoscaler brings one: {UNSCHEDULABLE.rstrip('.')}; ask for less" in said
    assert "\n" not in said
    assert error.value.exit_code == 1
    assert world.jobs == 1


@pytest.mark.parametrize("reason", ["NotTriggerScaleUp", "FailedScheduling"])
def test_what_else_is_noted_of_a_pod_promises_nothing(world, reason):
    def noted(run):
        refused(run)
        run.noted(reason, "no")

    with pytest.raises(WorkerError, match="no autoscaler brings one"):
        world.launch(second(noted))


def test_a_machine_that_comes_for_one_pod_is_none_for_another(world):
    def script(run):
        refused(run)
        if run.index == 0:
            run.noted("TriggeredScaleUp", "yes")

    with pytest.raises(WorkerError, match=r"worker 1 of 2 .* no autoscaler brings one"):
        world.launch(script)


@pytest.mark.parametrize("reason", sorted(worker_start.PROMISES))
def test_a_machine_that_an_autoscaler_brings_is_waited_for(world, said, reason):
    def brought(run):
        refused(run)
        run.noted(reason, "here it comes")
        wait_until(lambda: any("says an autoscaler: here it comes" in line for line in said()))
        time.sleep(0.5)
        well(run)

    world.launch(brought)
    assert world.kube.state.listed["Event"] <= 2  # once for each pod


def test_a_machine_that_is_promised_and_does_not_come_is_waited_for_as_long_as_the_settings_say(world):
    world.set(start_seconds=2)

    def promised(run):
        refused(run)
        run.noted("Nominated", "Pod should schedule on: nodeclaim/gpu")

    with pytest.raises(WorkerError, match=r"worker 1 of 2 .* not started within 2 s: Unschedulable: 0/3 nodes"):
        world.launch(second(promised))


def test_where_nobody_may_read_the_events_all_of_the_time_is_waited(world, said):
    world.set(start_seconds=2)
    world.kube.forbidden.add(("list", "events"))
    with pytest.raises(WorkerError, match="not started within 2 s"):
        world.launch(refused)
    (line,) = [line for line in said() if "events" in line]
    assert line.startswith("nobody says whether an autoscaler brings machines, so all 2 s are waited: not allowed to")


def test_events_that_come_only_later_are_waited_for(world):
    world.kube.fail("list events", 503, times=3)
    world.launch(waits_for_a_machine)


def test_events_that_never_come_are_told(world, monkeypatch):
    monkeypatch.setattr("kubeflow.workers.launcher.PATIENCE_SECONDS", 0.5)
    world.kube.fail("list events", 500, times=99999)
    with pytest.raises(ApiError, match="cannot list events"):
        world.launch(second(refused))


@pytest.mark.parametrize("how", [{"reason": "SchedulingGated"}, {"node": "node-2"}])
def test_a_pod_that_a_queue_holds_back_or_that_displaces_others_is_waited_for(world, how):
    def held(run):
        run.unschedulable("not yet", **how)
        time.sleep(1)
        well(run)

    world.launch(held)
    assert world.kube.state.listed["Event"] == 0


def test_time_without_a_machine_counts_from_when_the_last_hope_was_gone(world, monkeypatch):
    monkeypatch.setattr(worker_start, "PLACE_SECONDS", 1.0)

    def tossed(run):
        for node in (None, "node-2", None):
            run.unschedulable(WORDS, node=node)
            time.sleep(0.6)
        well(run)

    world.launch(tossed)


def test_who_waits_for_a_place_sees_why_in_the_schedulers_words(world, said, monkeypatch):
    monkeypatch.setattr(worker_start, "PLACE_SECONDS", LIMIT)

    def late(run):
        refused(run)
        wait_until(lambda: any(WORDS in line for line in said()))
        time.sleep(0.2)
        well(run)

    world.launch(late)
    (line,) = [line for line in said() if WORDS in line]
    assert line.endswith(f"waits for a machine: {UNSCHEDULABLE}")


def test_pods_that_are_not_made_are_missed(world, monkeypatch):
    world.set(start_seconds=1)
    monkeypatch.setattr(world.kube.state, "start_pods", lambda job: None)
    with pytest.raises(WorkerError, match="Kubernetes has made 0 of 2 pods within 1 s: expected room"):
        world.launch(forever)
