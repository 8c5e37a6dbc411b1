"""A training over pods that are real processes: the same weights, to the bit, whether one of them is killed or not."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from kube_emulator import Emulator
from kube_state import Kubelet
from kubernetes import client

from kubeflow.spec.cluster import Cluster, Volume
from kubeflow.workers import worker_set
from kubeflow.workers.launcher import launch_pods
from replicas import SETS, flat
from trainer.settings import TrainConfig
from trainer.workers.job import Job, run_job
from trainer.workers.ports import reserved_ports

CONFIG = TrainConfig(
    hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=20, eval_samples=2, horizontal_flips=True
)
KILL_AFTER = "epoch 2/20 "  # which the chief says when there is a checkpoint


class ProcessKubelet(Kubelet):
    """Runs each pod's command as a process of this machine, on a port of its own."""

    def __init__(self, ports):
        self.ports, self.processes, self.kill = ports, {}, ""

    def start(self, run):
        (container,) = run.manifest["spec"]["containers"]
        command = [sys.executable, *container["command"][1:]]
        environment = os.environ | run.environment() | {"TF_GRPC_REUSE_PORT": "1", "CUDA_VISIBLE_DEVICES": ""}
        config = json.loads(environment["TF_CONFIG"])
        config["cluster"]["worker"] = [f"127.0.0.1:{port}" for port in self.ports]
        environment["TF_CONFIG"] = json.dumps(config)
        process = self.processes[run.uid] = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        run.running()
        for line in process.stdout:
            run.log(line.rstrip("\n"))
            if self.kill and line.startswith(self.kill):
                self.kill = ""
                other = next(r for r in run.state.runs.values() if r.index == 1)
                self.processes[other.uid].kill()
        code = process.wait()
        run.ended(code if code >= 0 else 128 - code)

    def stop(self, run):
        process = self.processes[run.uid]
        process.terminate()
        killer = threading.Timer(3, process.kill)
        killer.start()
        process.wait()
        killer.cancel()


@pytest.fixture
def train(tmp_path, monkeypatch, caplog):
    """Trains over two pods, one of which is killed if so asked; returns the weights and the log."""
    monkeypatch.setattr(worker_set, "SETTLE_SECONDS", 1.0)
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parents[3]))
    caplog.set_level("INFO", "kubeflow")

    def start(name, kill=""):
        cluster = Cluster(image="vaeiaf:1", namespace="training", volume=Volume(claim="vaeiaf", path=str(tmp_path)))
        folder = tmp_path / name
        job = Job(CONFIG, str(folder), str(folder / "state"), checkpoint_minutes=0.0)
        with reserved_ports(2) as ports:
            kubelet = ProcessKubelet(ports)
            kubelet.kill = kill
            kube = Emulator(kubelet)
            kube.start()
            try:
                configuration = client.Configuration(host=kube.url)
                model = run_job(job, *SETS, 2, launch_pods(cluster, client.ApiClient(configuration)))
            finally:
                for process in kubelet.processes.values():
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                kube.stop()
        assert not kubelet.kill  # it did happen
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return flat(model), lines, len(kube.state.created["Job"])

    return start


@pytest.mark.slow
def test_a_training_that_loses_a_pod_ends_to_the_bit_as_one_that_does_not(train):
    weights, lines, jobs = train("undisturbed")
    assert jobs == 1
    assert [line.split()[1] for line in lines if line.startswith("epoch ") and "/" in line] == [
        f"{epoch}/20" for epoch in range(1, 21)
    ]

    again, lines, jobs = train("disturbed", KILL_AFTER)
    assert jobs == 2
    assert any("was killed by SIGKILL" in line and line.startswith("worker 1 of 2 (pod ") for line in lines), lines
    assert any(line.startswith("going on after step ") for line in lines), lines
    np.testing.assert_array_equal(again, weights)
