"""A real cluster, as `make test-cluster` names it."""

import contextlib
import io
import pathlib
import subprocess

from hands import Hands
from ui import Ui
from world import World

from kubeflow.client.api import connect
from kubeflow.spec.file import load_cluster
from kubeflow.workers import kube_api
from pipeline.cli import main

DATABASE, VOLUME = "vaeiaf-mlmd", "vaeiaf-volume"  # the StatefulSet and the Job of the manifests
READY_SECONDS = 900.0  # for a new volume and a new database
NO_UI = "cluster.yaml does not name the ui, which alone hands out pages and numbers"


class Real(World):
    """The cluster of kubectl's context.

    Args:
      cluster_file: cluster.yaml.
      host: the address of the API; empty: as `vaeiaf submit` without --host finds it.
      ui: the address of the UI; empty: that of cluster.yaml.
      manifests: the folder for `kubectl apply -k`; empty if they have been applied.
    """

    away_seconds, patience = 240.0, 3600.0

    def __init__(self, cluster_file: pathlib.Path, host: str, ui: str, manifests: str) -> None:
        self._file, self._host, self._ui, self._manifests = cluster_file, host, ui, manifests
        self._applied = False
        self.cluster = load_cluster(str(cluster_file))
        ui = ui or self.cluster.ui
        self.api = connect(self.cluster.namespace, host, ui=ui)
        self.kube = Hands(kube_api.connect(), self.cluster.namespace)
        self.small = {"dataset": "photo_patches", "preset": "smoke", "max_regression": 1000.0}
        self.long = {"epochs": 30}
        self.ui = Ui(ui, self.cluster.namespace)
        self.lacks = {} if ui else {"ui": NO_UI}
        if self.cluster.database.host != DATABASE:
            self.lacks["database"] = f"the database is not {DATABASE} of the manifests, so it is not taken away"

    def apply(self) -> None:
        """Removes them in the end if the namespace had no claim before."""
        if self._manifests:
            self._applied = self.kube.get_claim(self.cluster.volume.claim) is None
            self._kubectl("apply", "-k", self._manifests)
            self.wait(f"{DATABASE} is ready", lambda: self.kube.ready(DATABASE), READY_SECONDS)
            self.wait(f"Job {VOLUME} is done", self._volume_is_made, READY_SECONDS)

    def doctor(self) -> tuple[int, str]:
        console, given = io.StringIO(), {"--host": self._host, "--ui": self._ui}
        options = [word for pair in given.items() if pair[1] for word in pair]
        with contextlib.redirect_stdout(console):
            code = main(["doctor", "--cluster", str(self._file), *options])
        return code, console.getvalue()

    def set_database(self, there: bool) -> None:
        self.kube.scale(DATABASE, int(there))
        self.wait(f"{DATABASE} has changed", lambda: self.kube.ready(DATABASE) == there, READY_SECONDS)

    def close(self) -> None:
        if self._applied:
            self._kubectl("delete", "-k", self._manifests, "--wait=false")
            claim = f"data-{DATABASE}-0"  # which a StatefulSet leaves behind
            self._kubectl("delete", "pvc", claim, "-n", self.cluster.namespace, "--ignore-not-found", "--wait=false")

    def _volume_is_made(self) -> bool:
        job = self.kube.get_job(VOLUME)
        return job is None or job.state == "Complete"

    def _kubectl(self, *arguments: str) -> None:
        subprocess.run(["kubectl", *arguments], check=True)
