"""The wording of the messages with which the launcher of pods ends."""

import pytest
from kube_scenarios import (
    FULL,
    WORKER,
    deleted,
    ends,
    failed_job,
    fault,
    forbidden,
    launches,
    no_cluster,
    no_pods,
    not_allowed,
    not_created,
    queued,
    refused,
    shown,
    stuck,
    too_long,
    waits,
)
from kube_world import BAD, WRONG, fails, well

from kubeflow.workers.manifests import job_manifest
from kubeflow.workers.start import HOPELESS_SECONDS, PLACE_SECONDS
from trainer.errors import ReportedError

MESSAGES = [
    (lambda world: world.launch(well, workers=0), "workers: expected at least 1, got 0"),
    (
        lambda world: job_manifest(world.cluster, "Upper", world.folder, 2, None),
        "a worker's host name: expected at most 63 of a-z, 0-9 and -, starting with a letter, got 'Upper-1'",
    ),
    (
        no_cluster,
        "this process finds no Kubernetes cluster: Invalid kube-config file. No configuration found. Run it in a pod "
        "of the cluster, or name a kube config in KUBECONFIG",
    ),
    (
        fault("get jobs", 503),
        "the Kubernetes API did not get jobs within 300 s: injected 503. Start again when it answers; checkpoints are "
        "kept",
    ),
    (
        fault("get jobs", 401),
        "the Kubernetes API does not accept the credentials: injected 401. Check the service account's token, or the "
        "kube config",
    ),
    (fault("create jobs", 422), "the Kubernetes API refuses to create jobs: injected 422"),
    (forbidden, not_allowed("create", "jobs", "batch")),
    (
        not_created("Job"),
        "the Job JOB still exists 60 s after its deletion. Check for a finalizer, or for another process that "
        "recreates it",
    ),
    (
        not_created("Service"),
        "the Service JOB still exists 60 s after its deletion. Check for a finalizer, or for another process that "
        "recreates it",
    ),
    (
        stuck(restarts=1),
        "the Job JOB still exists 60 s after its deletion. If the machine of JOB-1-xxxxx on node-1 is lost, delete "
        "its node from the cluster, and run again",
    ),
    (stuck(restarts=0), f"{WORKER} does not stop: its node node-1 may be down"),
    (
        no_pods,
        "Kubernetes has created 0 of 2 pods within 60 s. Make room in the quota of namespace training; `kubectl "
        "describe job JOB` says more",
    ),
    (
        waits(lambda run: run.waiting("ErrImagePull", "no such image"), HOPELESS_SECONDS + 1),
        f"{WORKER} cannot be started: ErrImagePull: no such image. Check image and workers.pod in cluster.yaml",
    ),
    (
        waits(lambda run: run.waiting("ContainerCreating", ""), 60),
        f"{WORKER} has not started within 60 s: ContainerCreating. Raise workers.start_seconds in cluster.yaml if the "
        "cluster needs longer",
    ),
    (
        waits(lambda run: None, 60),
        f"{WORKER} has not started within 60 s: no reason is given. Raise workers.start_seconds in cluster.yaml if the "
        "cluster needs longer",
    ),
    (
        queued(3600),
        "the queue has not started the Job JOB within 3600 s. Raise workers.queue_seconds in cluster.yaml, or make "
        "room in the queue; `kubectl describe workloads -n training` says what it waits for",
    ),
    (
        not_created("NetworkPolicy"),
        "the NetworkPolicy JOB still exists 60 s after its deletion. Check for a finalizer, or for another process "
        "that recreates it",
    ),
    (
        waits(lambda run: run.unschedulable("0/3 nodes are available."), PLACE_SECONDS + 1),
        "no machine for 1 of 2 workers, tried 1 time in 121 s: Unschedulable: 0/3 nodes are available. Request less in "
        "workers.pod of cluster.yaml, add machines, raise workers.start_seconds, or run again when other runs have "
        "ended",
    ),
    (
        refused(FULL),
        f"Kubernetes has created 0 of 2 pods, tried 1 time in 121 s: {FULL}. Make room in the quota of namespace "
        "training, or raise workers.start_seconds in cluster.yaml",
    ),
    (
        refused(FULL.replace("limited: requests.cpu=8", "limited: requests.cpu=6")),
        "the workers together need more requests.cpu than the quota compute has: expected at most 6, got '2 times 4'. "
        "Request less in workers.pod of cluster.yaml, start fewer workers, or raise the quota",
    ),
    (
        refused("pods is forbidden: its words"),
        "Kubernetes has created 0 of 2 pods: pods is forbidden: its words. Change workers.pod in cluster.yaml, or what "
        "namespace training allows",
    ),
    (
        too_long,
        "the workers did not end within 60 s, workers.deadline_seconds in cluster.yaml. The next attempt at this run "
        "(Retry in the UI) resumes after their last checkpoint",
    ),
    (
        failed_job("DeadlineExceeded"),
        "the lease of the Job JOB ran out. Check that the Kubernetes API answers",
    ),
    (failed_job("Other"), "the Job JOB failed: its words"),
    (ends(lambda run: run.ended(1)), f"{WORKER} ended with exit code 1"),
    (ends(lambda run: run.ended(137)), f"{WORKER} was killed by SIGKILL"),
    (ends(lambda run: run.ended(128 + 60)), f"{WORKER} was killed by signal 60"),
    (
        ends(lambda run: run.ended(137, "OOMKilled")),
        f"{WORKER} was killed (OOMKilled): it needs more memory than the limit of workers.pod in cluster.yaml, 8Gi",
    ),
    (
        ends(lambda run: run.ended(128, "StartError", 'exec: "python": not found')),
        f'{WORKER} could not be started (StartError): exec: "python": not found',
    ),
    (ends(lambda run: run.evicted("low on memory")), f"{WORKER} was lost (Evicted): low on memory"),
    (
        ends(lambda run: (run.disrupted("EvictionByEvictionAPI", "drained"), run.ended(137))),
        f"{WORKER} was lost (EvictionByEvictionAPI): drained",
    ),
    (deleted, "worker 0 of 1 (pod JOB-0-xxxxx) was deleted"),
    (
        launches(fails(1, 137)),
        f"{WORKER} was killed by SIGKILL; its log ends:\n" + "\n".join(f"line {line}" for line in range(10, 20)),
    ),
    (launches(fails(1, 1, WRONG)), f"{WORKER}: what is wrong: expected 8, got 7. Do this"),
    (launches(fails(1, 2, BAD)), "what is wrong: expected 8, got 7. Do this"),
    (launches(fails(1, 143)), "interrupted by SIGTERM"),
]


@pytest.mark.parametrize(("scenario", "text"), MESSAGES, ids=[text[:60] for _, text in MESSAGES])
def test_wording(world, scenario, text):
    world.set(restarts=0, start_seconds=60)
    with pytest.raises(ReportedError) as error:
        scenario(world)
    assert shown(str(error.value), world) == text
