"""The emulated world: nodes and workers are real processes, Kubernetes and Kubeflow are emulators."""

import contextlib
import io
import pathlib
import tempfile
from unittest import mock

import yaml
from databases import MariaDB
from fork_kubelet import ForkKubelet
from hands import Hands
from kfp_emulator import Emulator as Kubeflow
from kfp_engine import Engine
from kube_emulator import Emulator as Kubernetes
from kube_world import api_client
from pod_forks import Pods
from ui import Ui
from ui_page import ui_page
from world import World

from kubeflow.client.api import connect
from kubeflow.doctor.rights import MANIFESTS
from kubeflow.spec.file import load_cluster
from pipeline.cli import main
from series import gradients
from toy_data import write_toy
from trainer.workers.ports import reserved_ports

NAMESPACE = "team"
NO_SERVER = "no database server: mariadbd is not installed, so the metadata is an SQLite file"
TINY = {"hidden_size": 8, "latent_size": 2, "iaf_steps": 0, "importance_samples": 0}
ON_ERROR = "spec: {templateDefaults: {retryStrategy: {limit: 2, retryPolicy: OnError}}}"


class Emulated(World):
    """A folder, a database server where there is one, and two emulators."""

    away_seconds, patience = 4.0, 300.0

    def __init__(self, folder: pathlib.Path) -> None:
        self._stack, self._folder = contextlib.ExitStack(), folder
        self.lacks = {
            "names": "workers find each other by ports of this machine and not by the names of a Service",
        }
        for pause in ("client.follow.POLL_SECONDS", "doctor.pod.POLL_SECONDS"):
            self._stack.enter_context(mock.patch(f"kubeflow.{pause}", 0.2))
        pods = Pods(folder)
        self._stack.callback(pods.close)
        volume = folder / "volume"
        write_toy(volume / "datasets", gradients("train", 200, 0), gradients("test", 50, 1000))
        self.database = self._database()
        self.cluster_file = folder / "cluster.yaml"
        self.cluster_file.write_text(yaml.safe_dump(self._settings(volume)))
        self.cluster = load_cluster(str(self.cluster_file))
        ports = self._stack.enter_context(reserved_ports(2))
        kubeconfig = folder / "kubeconfig"
        kubelet = ForkKubelet(pods, folder, ports, {"KUBECONFIG": str(kubeconfig)})
        self.kubernetes = Kubernetes(kubelet, namespace=NAMESPACE)
        self.kubernetes.start()
        self.kubernetes.write_kubeconfig(kubeconfig)
        self._stack.callback(self.kubernetes.stop)
        self._stack.callback(kubelet.close)
        self.kubeflow = self._stack.enter_context(Kubeflow())
        self.engine = Engine(self.kubeflow, self.kubernetes, folder / "outputs")
        self._address = self._stack.enter_context(ui_page(self.engine)).address
        self.ui = Ui(self._address, NAMESPACE)
        location = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
        self._stack.enter_context(mock.patch(location, str(kubeconfig)))
        self.kube = Hands(api_client(self.kubernetes.url), NAMESPACE)
        self.api = connect(NAMESPACE, self.kubeflow.host)
        gate = {"min_elbo": "-100000", "max_regression": 1000.0}
        self.small = {"dataset": "toy", "preset": "smoke", "epochs": 1, "batch_size": 32, "settings": TINY, **gate}
        self.long = {"epochs": 40}

    def apply(self) -> None:
        """Creates the objects of the manifests that the emulator knows."""
        for file in sorted((MANIFESTS / "base").glob("*.yaml")):
            for made in yaml.safe_load_all(file.read_text()):
                if made["kind"] in ("PersistentVolumeClaim", "ServiceAccount"):
                    made["status"] = {"phase": "Bound", "capacity": {"storage": "50Gi"}}
                    self.kubernetes.state.create(made["kind"], made)
        config = {"name": "workflow-controller-configmap", "namespace": "kubeflow"}
        values = {"kind": "ConfigMap", "metadata": config, "data": {"workflowDefaults": ON_ERROR}}
        self.kubernetes.state.create("ConfigMap", values)
        self.kubernetes.state.create(
            "ServiceAccount", {"kind": "ServiceAccount", "metadata": {"name": "default-editor"}}
        )

    def doctor(self) -> tuple[int, str]:
        console = io.StringIO()
        addresses = ["--host", self.kubeflow.host, "--ui", self._address]
        with contextlib.redirect_stdout(console):
            code = main(["doctor", "--cluster", str(self.cluster_file), *addresses])
        return code, console.getvalue()

    def set_database(self, there: bool) -> None:
        self.database.start() if there else self.database.kill()

    def close(self) -> None:
        self._stack.close()

    def _settings(self, volume: pathlib.Path) -> dict:
        retries = {"count": 2, "seconds": 0, "factor": 1}
        found = {"image": "vaeiaf:1", "namespace": NAMESPACE, "retries": retries}
        if self.database:
            database = {"host": "127.0.0.1", "port": self.database.port, "wait_seconds": 60}
        else:
            database = {"kind": "sqlite"}
            self.lacks["database"] = NO_SERVER
        return {**found, "volume": {"claim": "vaeiaf", "path": str(volume)}, "database": database}

    def _database(self) -> MariaDB | None:
        if not MariaDB.is_installed():
            return None
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())  # pytest's is for its owner alone
        made = MariaDB(pathlib.Path(folder))
        self._stack.callback(made.kill)
        return made
