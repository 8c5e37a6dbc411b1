"""A cluster with few machines, on which several launchers start workers at once."""

import threading
import time
from collections import Counter

from kube_clock import LIMIT
from kube_emulator import Emulator
from kube_state import Kubelet
from kube_world import api_client

from kubeflow.spec.cluster import Cluster, Volume, Workers
from kubeflow.workers.launcher import launch_pods

SPEED = 200.0  # seconds of the cluster in one of this machine
REAL_SECONDS = 0.002  # of the shortest sleep, so that polls leave processors free
WORKERS = 2  # of each launch
WORK_SECONDS = 60.0  # of workers that have found each other


class QuickClock:
    """A replacement for `kubeflow.workers.clock.Clock` whose time passes `SPEED` times as fast for all threads."""

    def __init__(self):
        self._real, self._began = time.monotonic(), float(int(time.time()))

    def time(self):
        return self._began + (time.monotonic() - self._real) * SPEED

    monotonic = time

    def sleep(self, seconds):
        time.sleep(max(seconds / SPEED, REAL_SECONDS))

    def wait(self, event, seconds):
        event.wait(max(seconds / SPEED, REAL_SECONDS))

    def alarm(self, when, function):
        timer = threading.Timer((when - self.time()) / SPEED, function)
        timer.daemon = True
        timer.start()


class Machines(Kubelet):
    """Gives each pod a machine of its own; the next one goes to the Job that has the fewest.

    No pod gets one before pods of `jobs` Jobs wait for one. Workers work when all of their Job run.
    """

    def __init__(self, clock, count, jobs=1):
        self.clock, self.count, self.most = clock, count, 0  # most: at the same time
        self._held, self._waiting = {}, {}  # uid of a pod -> uid of its Job
        self._jobs, self._seen = jobs, set()  # uids of the Jobs whose pods have waited
        self._met = Counter()  # uid of a Job -> its workers that have started
        self._lock = threading.Lock()

    def start(self, run):
        (owner,) = run.manifest["metadata"]["ownerReferences"]
        job = owner["uid"]
        if self._place(run, job):
            run.running()
            with self._lock:
                self._met[job] += 1
            while self._met[job] < WORKERS and not run.stopping.is_set():
                self.clock.sleep(1)
            run.stopping.wait(WORK_SECONDS / SPEED)
            run.ended(143 if run.stopping.is_set() else 0)
        with self._lock:
            self._held.pop(run.uid, None)
            self._waiting.pop(run.uid, None)

    def _place(self, run, job):
        """Waits for a machine; returns whether the pod still exists."""
        with self._lock:
            self._waiting[run.uid] = job
            self._seen.add(job)
        while not run.stopping.is_set():
            with self._lock:
                if self._is_next(job):
                    self._held[run.uid] = self._waiting.pop(run.uid)
                    self.most = max(self.most, len(self._held))
                    return True
            run.unschedulable(f"0/{self.count} nodes are available: {self.count} Insufficient cpu.")
            self.clock.sleep(1)
        return False

    def _is_next(self, job):
        fewest = min(self._of(self._held, other) for other in self._waiting.values())
        is_there = len(self._seen) >= self._jobs and len(self._held) < self.count
        return is_there and self._of(self._held, job) == fewest

    @staticmethod
    def _of(pods, job):
        return list(pods.values()).count(job)


class Crowd:
    """Launches of `WORKERS` workers each, in threads, on `machines` machines."""

    def __init__(self, folder, machines, start_seconds, jobs=1):
        self.folder, self.clock = folder, QuickClock()
        self.machines = Machines(self.clock, machines, jobs)
        self.kube = Emulator(self.machines, clock=self.clock)
        workers = Workers(start_seconds=start_seconds)
        self.cluster = Cluster(image="vaeiaf:1", namespace="training", volume=Volume(claim="vaeiaf"), workers=workers)
        self.errors = {}  # by name of the launch; None for one that succeeded

    def launch(self, *names):
        """Launches all at the same time; returns when all have ended."""
        self.kube.start()
        threads = [threading.Thread(target=self._launch, args=[name], daemon=True) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert set(self.errors) == set(names), "a launch does not end"

    def _launch(self, name):
        error = None
        try:
            launch_pods(self.cluster, api_client(self.kube.url), self.clock)(str(self.folder / name), WORKERS)
        except Exception as raised:
            error = raised
        self.errors[name] = error

    @property
    def jobs(self):
        """The names of all Jobs ever created."""
        return [job["metadata"]["name"] for job in self.kube.state.created["Job"]]
