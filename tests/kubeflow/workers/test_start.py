"""Laws of the wait for pods that do not run: short where nothing helps, long where something may."""

import pytest
from kube_world import forever, waits_for_a_machine, well

from kubeflow.workers.kube_errors import ApiError
from kubeflow.workers.start import HOPELESS_SECONDS, PLACE_SECONDS, PROMISES
from trainer.failure import Kind
from trainer.workers.launch import WorkerError

WORDS = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available."
UNSCHEDULABLE = f"Unschedulable: {WORDS.rstrip('.')}"
START_SECONDS = 900  # workers.start_seconds
ONE_TRY = int(PLACE_SECONDS) + 2  # workers.start_seconds that leave no time for a second try


def second(act):
    """Returns a script that runs the first worker and calls `act(run)` for the second."""
    return lambda run: act(run) if run.index else forever(run)


def failure_of(world, script, error=WorkerError):
    """Returns the failure of a launch of two workers."""
    with pytest.raises(error) as raised:
        world.launch(script)
    return raised.value.failure


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"]
)
def test_a_missing_image_ends_the_wait_soon(world, reason):
    def missing(run):
        run.waiting(reason, "vaeiaf:1: not found")
        world.hold(run, HOPELESS_SECONDS + 1)

    failure = failure_of(world, second(missing))
    assert failure.value.startswith(f"{world.name}-1-")
    assert failure.cause == f"{reason}: vaeiaf:1: not found"
    assert world.jobs == 1


def test_a_late_image_is_waited_for(world):
    def late(run):
        run.waiting("ErrImagePull", "the registry is busy")
        world.hold(run, HOPELESS_SECONDS / 3)
        world.noticed(run)
        well(run)

    world.launch(late)


def test_a_missing_machine_ends_a_try_soon(world):
    world.set(start_seconds=ONE_TRY)

    def rejected(run):
        run.unschedulable(WORDS)
        world.hold(run, PLACE_SECONDS + 1)

    failure = failure_of(world, second(rejected))
    assert failure.value.startswith(f"{world.name}-1-")
    assert failure.cause == UNSCHEDULABLE
    assert failure.kind == Kind.INFRASTRUCTURE
    assert world.jobs == 1
    assert world.kube.state.listed["Event"] == 1  # the launcher asked whether an autoscaler helps


@pytest.mark.parametrize("reason", ["NotTriggerScaleUp", "FailedScheduling"])
def test_other_events_promise_no_machine(world, reason):
    world.set(start_seconds=ONE_TRY)

    def noted(run):
        run.unschedulable(WORDS)
        run.noted(reason, "no")
        world.hold(run, PLACE_SECONDS + 1)

    assert failure_of(world, second(noted)).cause == UNSCHEDULABLE


def test_a_promise_for_one_pod_is_none_for_another(world):
    world.set(start_seconds=ONE_TRY)

    def script(run):
        run.unschedulable(WORDS)
        if run.index == 0:
            run.noted("TriggeredScaleUp", "yes")
        else:
            world.hold(run, PLACE_SECONDS + 1)

    assert failure_of(world, script).value.startswith(f"{world.name}-1-")


@pytest.mark.parametrize("reason", sorted(PROMISES))
def test_a_promised_machine_is_waited_for(world, reason):
    def brought(run):
        run.unschedulable(WORDS)
        run.noted(reason, "here it comes")
        world.hold(run, PLACE_SECONDS + 1)
        world.hold(run, PLACE_SECONDS + 1)
        world.noticed(run)
        well(run)

    world.launch(brought)
    assert world.kube.state.listed["Event"] == 2  # once for each pod


def test_a_broken_promise_ends_the_wait_after_start_seconds(world):
    def promised(run):
        run.unschedulable(WORDS)
        run.noted("Nominated", "Pod should schedule on: nodeclaim/gpu")
        world.hold(run, START_SECONDS - 1)
        world.noticed(run)
        assert world.jobs == 1
        world.clock.advance(1)

    failure = failure_of(world, second(promised))
    assert failure.value.startswith(f"{world.name}-1-")
    assert failure.cause == UNSCHEDULABLE


def test_without_the_right_to_read_events_the_wait_takes_start_seconds(world, said):
    world.kube.forbidden.add(("list", "events"))

    def rejected(run):
        run.unschedulable(WORDS)
        world.hold(run, START_SECONDS - 1)
        world.noticed(run)
        assert len([line for line in said() if "events" in line]) == 1
        world.clock.advance(1)

    assert failure_of(world, second(rejected)).cause == UNSCHEDULABLE


def test_an_api_that_lists_events_late_is_outlasted(world):
    world.kube.fail("list events", 503, times=3)
    world.launch(waits_for_a_machine(world))


def test_an_api_that_never_lists_events_ends_the_launch(world):
    world.kube.fail("list events", 500, times=99999)

    def rejected(run):
        run.unschedulable(WORDS)
        world.hold(run, PLACE_SECONDS + 1)
        world.clock.run()

    assert failure_of(world, second(rejected), ApiError).value == 500


@pytest.mark.parametrize("how", [{"reason": "SchedulingGated"}, {"node": "node-2"}])
def test_a_queued_or_nominated_pod_is_waited_for(world, how):
    def held(run):
        run.unschedulable("not yet", **how)
        world.hold(run, PLACE_SECONDS + 1)
        world.noticed(run)
        well(run)

    world.launch(held)
    assert world.kube.state.listed["Event"] == 0


def test_a_nomination_restarts_the_wait_for_a_machine(world):
    def tossed(run):
        for node in (None, "node-2", None):
            run.unschedulable(WORDS, node=node)
            world.hold(run, PLACE_SECONDS - 1)
            world.noticed(run)
        run.running()

    world.launch(lambda run: (tossed(run) if run.index else run.running(), well(run)))
    assert world.kube.state.listed["Event"] == 0


def test_the_reason_of_the_wait_is_logged_once(world, said):
    def late(run):
        run.unschedulable(WORDS)
        world.noticed(run)
        well(run)

    world.launch(late)
    (line,) = [line for line in said() if UNSCHEDULABLE in line]
    assert line.endswith(UNSCHEDULABLE)


def test_pods_that_are_never_created_end_the_wait(world, monkeypatch):
    world.set(start_seconds=60)
    monkeypatch.setattr(world.kube.state, "start_pods", lambda job: None)
    world.clock.run()
    assert failure_of(world, forever).value == 0
