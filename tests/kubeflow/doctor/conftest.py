"""A cluster that can run the pipeline, and the doctor that looks at it."""

import json

import pytest
from kube_clock import StillClock
from kube_emulator import Emulator
from kube_state import ScriptedKubelet
from kube_world import api_client, wait_until
from ui_page import ui_page

from kubeflow.doctor.checkup import examine
from kubeflow.doctor.kube import Kube
from kubeflow.doctor.retries import CONFIG
from kubeflow.spec.cluster import Cluster, Volume

WELL = {"revision": "v1", "findings": [["volume", "ok", "it is writable", ""], ["database", "ok", "it answers", ""]]}
ON_ERROR = "spec: {templateDefaults: {retryStrategy: {limit: 2, retryPolicy: OnError}}}"


class Hospital:
    """A cluster, and what its doctor says."""

    def __init__(self, kube, api):
        self.kube, self.api, self.script = kube, api, leaves(WELL)
        self.cluster = Cluster(image="vaeiaf:1", namespace="team", volume=Volume(claim="vaeiaf"))

    def put(self, kind, name, **values):
        """Creates an object, or replaces it."""
        self.kube.state.objects.pop((kind, name), None)
        self.kube.state.create(kind, {"kind": kind, "metadata": {"name": name} | values.pop("metadata", {}), **values})

    def examine(self):
        """Returns the findings by check; of several with one name the last."""
        kube = Kube(api_client(self.kube.url), self.cluster.namespace, self.kube.state.clock)
        return {finding.check: finding for finding in examine(self.cluster, kube, self.api)}

    @property
    def left(self):
        """Returns what is left of the doctor's Jobs."""
        return [key for key in self.kube.state.objects if key[0] in ("Job", "Pod")]


def leaves(found, code=0):
    """Returns a script for the doctor's pod, which leaves these findings."""

    def script(run):
        run.running()
        run.ended(code, message=found if isinstance(found, str) else json.dumps(found))

    return script


def claim(modes=("ReadWriteMany",), phase="Bound"):
    """Returns a claim."""
    spec = {"accessModes": list(modes), "storageClassName": "shared"}
    return {"spec": spec, "status": {"phase": phase, "capacity": {"storage": "50Gi"}}}


@pytest.fixture
def page():
    """The UI's answers."""
    with ui_page() as made:
        yield made


@pytest.fixture
def hospital(api, page):
    api.ui = page.address
    clock = StillClock()
    kube = Emulator(ScriptedKubelet(lambda run: made.script(run)), namespace="team", clock=clock)
    kube.start()
    made = Hospital(kube, api)
    clock.run()
    made.put("PersistentVolumeClaim", "vaeiaf", **claim())
    made.put("ServiceAccount", "default-editor")
    made.put("ConfigMap", CONFIG, metadata={"namespace": "kubeflow"}, data={"workflowDefaults": ON_ERROR})
    yield made
    wait_until(lambda: not made.left)
    kube.stop()
