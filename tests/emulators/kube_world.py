"""A cluster in which tests launch trainings: the emulated API, a script for each pod, and a clock."""

import dataclasses
import os
import pathlib
import random
import threading
import time

import yaml
from kube_clock import LIMIT, StillClock
from kube_emulator import Emulator
from kube_state import ScriptedKubelet
from kubernetes import client

from kubeflow.spec.cluster import Cluster, Volume, Workers
from kubeflow.workers import launcher
from kubeflow.workers.launcher import launch_pods
from kubeflow.workers.manifests import job_manifest, job_name, policy_manifest, service_manifest
from kubeflow.workers.pod import Pod
from kubeflow.workers.pod_watch import PodWatch
from kubeflow.workers.start import PLACE_SECONDS
from kubeflow.workers.worker_set import JOB_SECONDS
from trainer.failure import Failure, Kind

ROOT = pathlib.Path(__file__).parents[2]
WRONG = Failure(Kind.INFRASTRUCTURE, "what is wrong", value=7, valid="8", remedy="Do this", cause="that")
BAD = dataclasses.replace(WRONG, kind=Kind.BAD_INPUT)


def rights():
    """Returns the launcher's rights by the manifests, as (verb, resource)."""
    role, _ = yaml.safe_load_all((ROOT / "kubeflow/deploy/manifests/base/permissions.yaml").read_text())
    return {(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


def api_client(url):
    """Returns Kubernetes' own client for the cluster at `url`."""
    configuration = client.Configuration(host=url)
    configuration.retries = False
    return client.ApiClient(configuration)


class World:
    """A cluster, and launches in it, on a clock that stands still."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.scripts, self.watch = str(folder / "job"), [], None
        os.mkdir(self.folder)
        self.cluster = Cluster(image="vaeiaf:1", namespace="training", volume=Volume(claim="vaeiaf"))
        self.clock = StillClock()
        self.kube = Emulator(ScriptedKubelet(self._play), clock=self.clock)
        self.name = job_name(self.folder)
        monkeypatch.setattr(launcher, "PodWatch", self._make_watch)
        monkeypatch.delenv("POD_NAME", raising=False)

    def set(self, **workers):
        self.cluster = dataclasses.replace(self.cluster, workers=dataclasses.replace(Workers(), **workers))

    def launch(self, *scripts, workers=2, uniform=random.uniform):
        """Launches a training. Each new Job takes the next script for its pods, and all later Jobs the last one."""
        self.scripts = list(scripts)
        launch_pods(self.cluster, api_client(self.kube.url), self.clock, uniform)(self.folder, workers)

    def noticed(self, run):
        """Blocks until the launcher has acted on the pod's state."""
        pod = Pod.of(run.manifest)
        wait_until(lambda: self.watch and pod in self.watch.owned_by(pod.job))
        polls = self.clock.polls
        wait_until(lambda: self.clock.polls > polls + 1)  # the first may have begun before

    def hold(self, run, seconds):
        """Moves time while the pod stays in its state, which the launcher knows."""
        self.noticed(run)
        self.clock.advance(seconds)

    def _make_watch(self, *arguments):
        self.watch = PodWatch(*arguments)
        return self.watch

    def _play(self, run):
        uids = [job["metadata"]["uid"] for job in self.kube.state.created["Job"]]
        (owner,) = run.manifest["metadata"]["ownerReferences"]
        self.scripts[min(uids.index(owner["uid"]), len(self.scripts) - 1)](run)

    @property
    def jobs(self):
        """The number of Jobs ever created."""
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


def held_in_queue(world, seconds, job=1):
    """Starts the suspended Job number `job` after it has waited for `seconds` in its queue."""

    def polled():
        polls = world.clock.polls
        wait_until(lambda: world.clock.polls > polls + 1)  # the first may have begun before

    def act():
        wait_until(lambda: world.jobs == job and world.watch and len(world.kube.state.created["Service"]) == job)
        polled()
        world.clock.advance(seconds)
        polled()
        if world.left():  # the launcher has not given up
            world.kube.state.admit(world.name)
            world.clock.advance(JOB_SECONDS)

    threading.Thread(target=act, daemon=True).start()


def waits_for_a_machine(world):
    """Returns a script for pods that get a machine from an autoscaler, once the launcher knows its promise."""

    def script(run):
        run.unschedulable("0/3 nodes are available")
        run.noted("TriggeredScaleUp", "pod triggered scale-up: [{pool 0->1 (max: 2)}]")
        if run.index == 0:
            world.hold(run, PLACE_SECONDS + 1)
        wait_until(lambda: run.state.listed["Event"] > run.index)
        well(run)

    return script


def fails(index, code, failure=None, **how):
    """Returns a script in which worker `index` ends with `code`; the others run until they are stopped."""

    def script(run):
        run.running()
        if run.index == index:
            for line in range(20):
                run.log(f"line {line}")
            run.ended(code, **({"message": failure.to_json()} if failure else {}), **how)
        else:
            run.stopping.wait(LIMIT)

    return script


def leave(world, workers=2, script=forever):
    """Creates a running Job, as an earlier launcher leaves it."""
    world.scripts = [script]
    job = world.kube.state.create("Job", job_manifest(world.cluster, world.name, world.folder, workers, None))
    serve(world, job)


def serve(world, job):
    """Creates what belongs to a Job."""
    for kind, manifest in (("Service", service_manifest), ("NetworkPolicy", policy_manifest)):
        world.kube.state.create(kind, manifest(world.cluster, world.name, job["metadata"]["uid"]))
