"""A kubelet whose pods are processes of this machine, and whose volume is one of its folders."""

import json
import os
import pathlib
import signal
import threading

from kube_state import Kubelet
from pod_forks import MESSAGE, ROOT, Pods

from trainer.workers.launch import ERROR_FILE

TASK_SECONDS, WORKER_SECONDS = 3.0, 10.0  # between SIGTERM and SIGKILL; Kubeflow leaves a task one second at most


class ForkKubelet(Kubelet):
    """Runs each pod's one container. Workers listen on `ports`, because no name leads to a pod."""

    def __init__(self, pods: Pods, folder: pathlib.Path, ports: list[int], environment: dict[str, str]) -> None:
        self.pods, self.folder, self.ports, self.environment = pods, folder, ports, environment
        self.processes = {}  # by the pod's uid
        self._lock = threading.Lock()

    def start(self, run):
        (container,) = run.manifest["spec"]["containers"]
        message = self.folder / f"{run.uid}.message"
        message.touch()
        read, write = os.pipe()
        with self._lock:
            if run.stopping.is_set():
                return run.ended(143)
            command = [*run.command(), *container.get("args", [])]
            self.processes[run.uid] = self.pods.start(command, self._environment(run, message), write)
        os.close(write)
        run.running()
        with os.fdopen(read, errors="replace") as lines:
            for line in lines:
                run.log(line.rstrip("\n"))
        run.ended(self.processes[run.uid].wait(), message=message.read_text())
        return None

    def stop(self, run):
        with self._lock:
            process = self.processes.get(run.uid)
        if process is None:
            return run.ended(143)
        process.send(signal.SIGTERM)
        seconds = TASK_SECONDS if "workflow" in run.manifest["metadata"]["labels"] else WORKER_SECONDS
        killer = threading.Timer(seconds, process.send, [signal.SIGKILL])
        killer.daemon = True
        return killer.start()

    def close(self):
        """Kills what still runs."""
        for process in self.processes.values():
            process.send(signal.SIGKILL)

    def _environment(self, run, message):
        given = run.environment()
        if "TF_CONFIG" in given:
            config = json.loads(given["TF_CONFIG"])
            workers = config["cluster"]["worker"]
            config["cluster"]["worker"] = [f"127.0.0.1:{port}" for port in self.ports[: len(workers)]]
            given |= {"TF_CONFIG": json.dumps(config), ERROR_FILE: str(message), "TF_GRPC_REUSE_PORT": "1"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KF")}
        path = {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
        return {**kept, **path, **self.environment, **given, MESSAGE: str(message)}
