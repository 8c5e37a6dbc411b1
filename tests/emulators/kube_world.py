"""A cluster in which tests launch trainings, and what its pods may do: the emulated API, with a script for each pod."""

import dataclasses
import os
import pathlib
import time

import yaml
from kube_emulator import Emulator
from kube_state import ScriptedKubelet
from kubernetes import client

from kubeflow.spec.cluster import Cluster, Volume, Workers
from kubeflow.workers import kube_api, pod_log, pod_watch, worker_set
from kubeflow.workers import launcher as worker_pods
from kubeflow.workers import start as worker_start
from kubeflow.workers.launcher import launch_pods
from kubeflow.workers.manifests import job_manifest, job_name, service_manifest

LIMIT = 30  # seconds; never reached unless something is broken
ROOT = pathlib.Path(__file__).parents[2]


def rights():
    """What the manifests allow the launcher, as (verb, resource)."""
    role, _ = yaml.safe_load_all((ROOT / "kubeflow/deploy/manifests/base/permissions.yaml").read_text())
    return {(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


def hasten(monkeypatch):
    """Shorter pauses, and bounds that a test reaches if it wants to."""
    for module, settings in {
        kube_api: {"PAUSE_SECONDS": 0.02, "MAX_PAUSE_SECONDS": 0.1, "READ_SECONDS": 1.0},
        pod_watch: {"PAUSE_SECONDS": 0.02},
        pod_log: {"PAUSE_SECONDS": 0.02},
        worker_set: {"POLL_SECONDS": 0.02, "JOB_SECONDS": 0.1, "SETTLE_SECONDS": 0.4},
        worker_start: {"HOPELESS_SECONDS": 0.2, "PLACE_SECONDS": 0.3},
        worker_pods: {"GONE_SECONDS": 0.02, "CLEAN_UP_SECONDS": 1.0},
    }.items():
        for name, value in settings.items():
            monkeypatch.setattr(module, name, value)
    monkeypatch.delenv("POD_NAME", raising=False)


class World:
    """A cluster, and launches in it."""

    def __init__(self, folder):
        self.folder, self.scripts = str(folder / "job"), []
        os.mkdir(self.folder)
        self.cluster = Cluster(image="vaeiaf:1", namespace="training", volume=Volume(claim="vaeiaf"))
        self.kube = Emulator(ScriptedKubelet(self._play))
        self.name = job_name(self.folder)

    def set(self, **workers):
        self.cluster = dataclasses.replace(self.cluster, workers=dataclasses.replace(Workers(), **workers))

    def launch(self, *scripts, workers=2):
        """Launches, with one script for the pods of each Job that is made; the last one is for all that follow."""
        self.scripts = list(scripts)
        configuration = client.Configuration(host=self.kube.url)
        configuration.retries = False
        launch_pods(self.cluster, client.ApiClient(configuration))(self.folder, workers)

    def _play(self, run):
        uids = [job["metadata"]["uid"] for job in self.kube.state.created["Job"]]
        (owner,) = run.manifest["metadata"]["ownerReferences"]
        self.scripts[min(uids.index(owner["uid"]), len(self.scripts) - 1)](run)

    @property
    def jobs(self):
        """How many there ever were."""
        return len(self.kube.state.created["Job"])

    def left(self):
        return [key for key in self.kube.state.objects if key[1] != "launcher" and key[0] != "Event"]


def wait_until(condition, what=lambda: "waited in vain"):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.01)


def well(run):
    run.running()
    run.log(f"epoch {run.index}")
    run.ended(0)


def forever(run):
    run.running()
    run.stopping.wait(LIMIT)


def waits_for_a_machine(run):
    """Which an autoscaler brings, when its promise is known."""
    run.unschedulable("0/3 nodes are available")
    run.noted("TriggeredScaleUp", "pod triggered scale-up: [{pool 0->1 (max: 2)}]")
    wait_until(lambda: run.state.listed["Event"] > run.index)
    well(run)


def fails(index, code, **how):
    """One of the workers ends so; the others would go on."""

    def script(run):
        run.running()
        if run.index == index:
            for line in range(20):
                run.log(f"line {line}")
            run.log("trainer: what is wrong")
            run.ended(code, **how)
        else:
            run.stopping.wait(LIMIT)

    return script


def leave(world, workers=2, script=forever):
    """A Job at work, as an earlier launcher leaves it."""
    world.scripts = [script]
    job = world.kube.state.create("Job", job_manifest(world.cluster, world.name, world.folder, workers, None))
    world.kube.state.create("Service", service_manifest(world.cluster, world.name, job["metadata"]["uid"]))
