"""The wording of what the launcher of pods logs."""

import contextlib

import pytest
from kube_scenarios import (
    WORKER,
    adopts,
    blind,
    ends,
    failed_job,
    finds_weights,
    kept,
    launches,
    not_allowed,
    queued,
    restarts,
    shown,
    silent,
    stuck,
    taken_back,
    tried_again,
)
from kube_world import waits_for_a_machine, well

from trainer.errors import ReportedError

LINES = [
    (launches(well), "this is no pod of namespace training, so the workers use its default service account"),
    (launches(well), "started the Job JOB of 2 pods"),
    (adopts, "following the Job JOB, which is already running"),
    (finds_weights, "the Job JOB has already done this work"),
    (restarts, "worker 1 of 2 (pod JOB-1-xxxxx) was killed by SIGTERM"),
    (restarts, "starting all workers again, time 1 of at most 1 without a new checkpoint, 1 of at most 48 in 24 hours"),
    (
        kept,
        f"the Job JOB is left in the cluster, where it ends with its lease: {not_allowed('delete', 'jobs', 'batch')}",
    ),
    (silent, f"cannot show the chief's log: {not_allowed('get', 'pods/log')}"),
    (tried_again, f"{WORKER} waits for a machine: Unschedulable: 0/3 nodes are available"),
    (
        tried_again,
        "no machine for 1 of 2 workers: Unschedulable: 0/3 nodes are available; gave the machines back, trying again "
        "in 15 s",
    ),
    (blind, f"cannot read Events, so waiting the full 900 s for machines: {not_allowed('list', 'events')}"),
    (
        lambda world: world.launch(waits_for_a_machine(world)),
        f"an autoscaler adds a machine for {WORKER}: pod triggered scale-up: [{{pool 0->1 (max: 2)}}]",
    ),
    (
        ends(lambda run: run.state.delete("Job", run.manifest["metadata"]["labels"]["job-name"])),
        "the Job JOB was deleted",
    ),
    (
        ends(lambda run: run.state.delete("Job", run.manifest["metadata"]["labels"]["job-name"])),
        "stopping; the workers have 45 s to save a checkpoint",
    ),
    (queued(1800), "the Job JOB waits in its queue, for 3600 s at most"),
    (taken_back, "the queue of the Job JOB took its machines back"),
    (stuck(restarts=0), f"{WORKER} was told to stop"),
    (failed_job("DeadlineExceeded"), "Kubernetes ended the Job JOB: its lease was not renewed in time"),
]


@pytest.mark.parametrize(("scenario", "line"), LINES, ids=[line[:60] for _, line in LINES])
def test_wording_of_log_lines(world, said, scenario, line):
    world.set(restarts=0)
    with contextlib.suppress(ReportedError):
        scenario(world)
    assert line in [shown(said_line, world) for said_line in said()]
