"""Laws of the launcher of pods while the Kubernetes API fails or refuses."""

import dataclasses

import pytest
from kube_world import forever, rights, wait_until, well

from kubeflow.workers import kube_api
from kubeflow.workers.kube_errors import ApiError
from trainer.errors import UserError
from trainer.failure import Kind


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("create jobs", {"kind": 429, "headers": {"Retry-After": "20"}}),
        ("create services", {"kind": 500, "times": 3}),
        ("create jobs", {"kind": "drop", "times": 2}),
        ("create jobs", {"kind": "late"}),  # but it was created
        ("create services", {"kind": "late"}),
        ("create networkpolicies", {"kind": 500, "times": 3}),
        ("create networkpolicies", {"kind": "late"}),
        ("delete networkpolicies", {"kind": "late"}),
        ("get jobs", {"kind": 503, "times": 3}),
        ("get jobs", {"kind": "hang"}),
        ("delete services", {"kind": 504, "times": 3}),
        ("delete services", {"kind": "late"}),
        ("patch jobs", {"kind": 500, "times": 3}),
        ("patch jobs", {"kind": "late"}),
        ("patch jobs", {"kind": 409}),
        ("list pods", {"kind": 500, "times": 3}),
        ("watch pods", {"kind": 410, "times": 3}),
        ("watch pods", {"kind": "expire", "times": 3}),
        ("watch pods", {"kind": 500, "times": 3}),
        ("watch pods", {"kind": "drop", "times": 3}),
        ("watch pods", {"kind": "cut"}),
        ("get pods/log", {"kind": 500, "times": 3}),
        ("get pods/log", {"kind": "cut", "times": 3}),
        ("get pods/log", {"kind": "drop", "times": 3}),
    ],
)
def test_transient_errors_are_outlasted(world, said, monkeypatch, pattern, fault):
    if fault["kind"] == "hang":
        monkeypatch.setattr(kube_api, "READ_SECONDS", 0.5)
    world.kube.fail(pattern, **fault)
    pending = lambda: [fault for fault in world.kube.faults if fault.times > 0]  # noqa: E731
    lines = []

    def slow(run):
        wait_until(lambda: "watch pods" in world.kube.requests)
        run.running()
        while run.index == 0 and pending() and not run.stopping.wait(0.02):
            lines.append(f"epoch {len(lines)}")
            run.log(lines[-1])
        wait_until(lambda: any("pods/log" in request for request in world.kube.requests))
        run.ended(0)

    world.launch(slow)
    assert world.jobs == 1
    assert [line for line in said() if line.startswith("epoch")] == lines
    assert not pending()
    assert round(world.clock.slept, 3) >= int(fault.get("headers", {}).get("Retry-After", 0))


@pytest.mark.parametrize("fault", [{"kind": 504, "times": 3}, {"kind": "late"}])
def test_transient_errors_during_the_clean_up_are_outlasted(world, fault):
    world.kube.fail("delete jobs", **fault)
    world.launch(well)


def test_each_line_of_the_log_is_shown_once_over_many_streams(world, said):
    """Some lines share a time, and Kubernetes omits trailing zeros."""
    for lines in range(12):
        world.kube.fail("get pods/log", "cut", lines=lines)

    def talkative(run):
        run.running()
        for tenth in range(10):
            for line in range(3):
                run.log(f"epoch {tenth}.{line}", f"2026-01-01T00:00:0{tenth // 5}{f'.{2 * tenth % 10}'.rstrip('.0')}Z")
        run.ended(0)

    world.launch(talkative)
    lines = [line for line in said() if line.startswith("epoch")]
    assert lines == [f"epoch {tenth}.{line}" for tenth in range(10) for line in range(3)]


@pytest.mark.parametrize("pattern", ["create jobs", "list pods", "get jobs"])
def test_lasting_errors_end_the_launch(world, pattern):
    world.kube.fail(pattern, 500, times=99999)
    world.clock.run()
    with pytest.raises(ApiError) as error:
        world.launch(forever)
    failure = error.value.failure
    assert failure.kind == Kind.INFRASTRUCTURE
    assert failure.value == 500
    assert failure.cause == "injected 500"
    assert pattern in failure.sentence


@pytest.mark.parametrize(
    ("verb", "resource"),
    sorted(rights() - {("delete", "jobs"), ("get", "pods/log"), ("list", "events")}),  # which end no launch
)
def test_a_missing_right_is_bad_input(world, verb, resource):
    world.kube.forbidden.add((verb, resource))
    with pytest.raises(ApiError) as error:
        world.launch(forever)
    failure = error.value.failure
    assert failure.kind == Kind.BAD_INPUT
    assert failure.value == 403
    assert f'cannot {verb} resource "{resource}"' in failure.cause


def test_the_launch_continues_without_the_right_to_read_the_log(world, said):
    world.kube.forbidden.add(("get", "pods/log"))

    def slow(run):
        run.running()
        wait_until(lambda: any("pods/log" in line for line in said()))
        run.ended(0)

    world.launch(slow)
    assert world.jobs == 1


def test_a_job_that_cannot_be_deleted_is_logged(world, said):
    world.kube.forbidden.add(("delete", "jobs"))
    world.launch(well)
    assert any(line.startswith(f"the Job {world.name} is left in the cluster") for line in said())
    world.kube.state.delete("Job", world.name)


def test_a_missing_namespace_is_bad_input(world):
    world.cluster = dataclasses.replace(world.cluster, namespace="nowhere")
    with pytest.raises(ApiError) as error:
        world.launch(well)
    assert error.value.failure.kind == Kind.BAD_INPUT
    assert error.value.failure.cause == 'namespaces "nowhere" not found'


def test_fewer_than_one_worker_is_refused_before_any_request(world):
    with pytest.raises(UserError) as error:
        world.launch(well, workers=0)
    assert error.value.failure.value == 0
    assert world.kube.requests == []
