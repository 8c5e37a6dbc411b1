"""A training over pods that are real processes: bit-identical weights whether or not one of them is killed."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from kube_emulator import Emulator
from kube_state import Kubelet
from kube_world import api_client

from kubeflow.spec.cluster import Cluster, Volume
from kubeflow.workers import worker_set
from kubeflow.workers.launcher import launch_pods
from replicas import SETS, flat
from trainer.settings import Execution, TrainConfig
from trainer.workers.job import Job, run_job
from trainer.workers.launch import ERROR_FILE
from trainer.workers.ports import reserved_ports

CONFIG = TrainConfig(
    hidden_size=8, latent_size=2, iaf_steps=0, batch_size=8, epochs=20, eval_samples=2, horizontal_flips=True
)
KILL_AFTER = "epoch 2/20 "  # the chief's line after the first checkpoints


class ProcessKubelet(Kubelet):
    """Runs each pod's command as a process of this machine, on a port of its own."""

    def __init__(self, ports, folder):
        self.ports, self.folder, self.processes, self.kill = ports, folder, {}, ""

    def start(self, run):
        (container,) = run.manifest["spec"]["containers"]
        command = [sys.executable, *container["command"][1:]]
        environment = os.environ | run.environment() | {"TF_GRPC_REUSE_PORT": "1", "CUDA_VISIBLE_DEVICES": ""}
        config = json.loads(environment["TF_CONFIG"])
        config["cluster"]["worker"] = [f"127.0.0.1:{port}" for port in self.ports]
        message = self.folder / run.uid  # in place of the container's /dev/termination-log
        environment |= {"TF_CONFIG": json.dumps(config), ERROR_FILE: str(message)}
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
        run.ended(code if code >= 0 else 128 - code, message=message.read_text() if message.exists() else "")

    def stop(self, run):
        process = self.processes[run.uid]
        process.terminate()
        killer = threading.Timer(3, process.kill)
        killer.start()
        process.wait()
        killer.cancel()


@pytest.fixture
def train(tmp_path, monkeypatch, caplog):
    """Trains over two pods, kills one after the line `kill`; returns the weights, the log and the number of Jobs."""
    monkeypatch.setattr(worker_set, "SETTLE_SECONDS", 1.0)
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parents[3]))
    caplog.set_level("INFO", "kubeflow")

    def start(name, kill=""):
        cluster = Cluster(image="vaeiaf:1", namespace="training", volume=Volume(claim="vaeiaf", path=str(tmp_path)))
        folder = tmp_path / name
        execution = Execution(workers=2, checkpoint_minutes=0.0)
        job = Job(CONFIG, str(folder), str(folder / "state"), execution=execution)
        with reserved_ports(2) as ports:
            kubelet = ProcessKubelet(ports, tmp_path)
            kubelet.kill = kill
            kube = Emulator(kubelet)
            kube.start()
            try:
                model = run_job(job, *SETS, launch_pods(cluster, api_client(kube.url)))
            finally:
                for process in kubelet.processes.values():
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                kube.stop()
        assert not kubelet.kill  # the kill happened
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return flat(model), lines, len(kube.state.created["Job"])

    return start


def epochs(lines):
    """Returns the numbers of the epochs in the chief's log."""
    return [int(found[1]) for line in lines if (found := re.match(r"epoch (\d+)/20 ", line))]


@pytest.mark.slow
def test_a_lost_pod_does_not_change_the_weights(train):
    weights, lines, jobs = train("undisturbed")
    assert jobs == 1
    assert epochs(lines) == list(range(1, 21))

    again, lines, jobs = train("disturbed", KILL_AFTER)
    assert jobs == 2
    assert any(line.startswith("worker 1 of 2 (pod ") for line in lines), lines
    assert epochs(lines).count(1) == 1  # the second Job resumed from a checkpoint of the first
    assert epochs(lines)[-1] == 20
    np.testing.assert_array_equal(again, weights)
