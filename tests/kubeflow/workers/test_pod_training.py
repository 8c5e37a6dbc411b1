"""A training over pods that are real processes: bit-identical weights whether or not pods are killed and deleted."""

import re
import signal

import numpy as np
import pytest
from fork_kubelet import ForkKubelet
from kube_emulator import Emulator
from kube_world import api_client
from pod_forks import Pods

from kubeflow.spec.cluster import Cluster, Volume
from kubeflow.workers import worker_set
from kubeflow.workers.launcher import launch_pods
from replicas import SETS, flat
from trainer.settings import Execution, TrainConfig
from trainer.workers.job import Job, run_job
from trainer.workers.ports import reserved_ports

CONFIG = TrainConfig(
    hidden_size=8,
    latent_size=2,
    iaf_steps=0,
    batch_size=8,
    epochs=20,
    eval_samples=2,
    horizontal_flips=True,
    importance_samples=0,
)
KILL_AFTER, DELETE_AFTER = "epoch 2/20 ", "epoch 6/20 "  # the chief's lines


class DisturbedKubelet(ForkKubelet):
    """Does something to the other pod when the chief has written a line."""

    def __init__(self, *given, disturbances):
        super().__init__(*given)
        self.disturbances = dict(disturbances)  # start of a line -> what happens

    def start(self, run):
        log = run.log

        def disturbed(line):
            log(line)
            for start in [start for start in self.disturbances if line.startswith(start)]:
                other = next(r for r in run.state.runs.values() if r.index == 1 and not r.has_ended())
                self.disturbances.pop(start)(self, other)

        run.log = disturbed
        super().start(run)


@pytest.fixture
def pods(tmp_path):
    """The process from which pods are forked."""
    forks = Pods(tmp_path)
    yield forks
    forks.close()


@pytest.fixture
def train(pods, tmp_path, monkeypatch, caplog):
    """Trains over two pods; returns the weights, the log, the number of Jobs, and the objects that are left."""
    monkeypatch.setattr(worker_set, "SETTLE_SECONDS", 1.0)
    caplog.set_level("INFO", "kubeflow")

    def start(name, disturbances=()):
        cluster = Cluster(image="vaeiaf:1", namespace="training", volume=Volume(claim="vaeiaf", path=str(tmp_path)))
        folder = tmp_path / name
        execution = Execution(workers=2, checkpoint_minutes=0.0)
        job = Job(CONFIG, str(folder), str(folder / "state"), execution=execution)
        with reserved_ports(2) as ports:
            kubelet = DisturbedKubelet(pods, tmp_path, ports, {}, disturbances=disturbances)
            kube = Emulator(kubelet)
            kube.start()
            try:
                model = run_job(job, *SETS, launch_pods(cluster, api_client(kube.url)))
            finally:
                kubelet.close()
                kube.stop()
        assert not kubelet.disturbances  # all happened
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        left = {kind for kind, _ in kube.state.objects} & {"Job", "Service"}
        return flat(model), lines, len(kube.state.created["Job"]), left

    return start


def numbers(pattern, lines):
    """Returns the number in each line that matches."""
    return [int(found[1]) for line in lines if (found := re.match(pattern, line))]


def epochs(lines):
    """Returns the numbers of the epochs in the chief's log."""
    return numbers(r"epoch (\d+)/20 ", lines)


def kill(kubelet, run):
    """Kills the pod's process, as the kernel does."""
    kubelet.processes[run.uid].send(signal.SIGKILL)


def delete(_, run):
    """Deletes the pod, which gives it its grace."""
    run.state.delete("Pod", run.name)


@pytest.mark.slow
def test_lost_pods_do_not_change_the_weights(train):
    weights, lines, jobs, left = train("undisturbed")
    assert jobs == 1
    assert not left
    assert epochs(lines) == list(range(1, 21))

    again, lines, jobs, left = train("disturbed", {KILL_AFTER: kill, DELETE_AFTER: delete})
    assert jobs == 3
    assert not left
    assert len([line for line in lines if line.startswith("worker 1 of 2 (pod ")]) >= 2, lines
    assert epochs(lines).count(1) == 1  # the second Job resumed from a checkpoint of the first
    assert epochs(lines)[-1] == 20
    (stopped,), (_, resumed) = (numbers(rf"{word} after step (\d+)", lines) for word in ("stopped", "resuming"))
    assert resumed == stopped  # the deleted worker had its step saved
    np.testing.assert_array_equal(again, weights)
