"""Laws of the launcher of pods, over HTTP against an emulated API: whatever happens, the right pod is named, the work
goes on where it can, and nothing is left in the cluster."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import yaml
from kubernetes import client

from kube_emulator import Emulator
from kube_state import ScriptedKubelet
from kubeflow import kube_api, pod_log, pod_watch, worker_lease, worker_pods, worker_set
from kubeflow.cluster import Cluster, Volume, Workers
from kubeflow.kube_api import ApiError
from kubeflow.worker_manifests import job_manifest, job_name, service_manifest
from kubeflow.worker_pods import launch_pods
from trainer.errors import InterruptError, UserError
from trainer.launch import WorkerError

LIMIT = 30  # seconds; never reached unless something is broken
ROOT = pathlib.Path(__file__).parents[2]


def rights():
    """What the manifests allow the launcher, as (verb, resource)."""
    role, _ = yaml.safe_load_all((ROOT / "kubeflow/manifests/base/permissions.yaml").read_text())
    return {(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Shorter pauses, and bounds that a test reaches if it wants to."""
    for module, settings in {
        kube_api: {"PAUSE_SECONDS": 0.02, "MAX_PAUSE_SECONDS": 0.1, "READ_SECONDS": 1.0},
        pod_watch: {"PAUSE_SECONDS": 0.02},
        pod_log: {"PAUSE_SECONDS": 0.02},
        worker_set: {"POLL_SECONDS": 0.02, "JOB_SECONDS": 0.1, "SETTLE_SECONDS": 0.4, "HOPELESS_SECONDS": 0.2},
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
        return [key for key in self.kube.state.objects if key[1] != "launcher"]


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.kube.start()
    yield world
    wait_until(lambda: not world.left(), what=lambda: f"left: {world.left()}")
    world.kube.stop()


@pytest.fixture
def said(caplog):
    """The lines that the launcher has logged."""
    caplog.set_level("INFO", "kubeflow")
    return lambda: [record.getMessage() for record in caplog.records]


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


def test_returns_when_all_have_ended_well(world, said):
    world.launch(well)
    assert world.jobs == 1
    assert "epoch 0" in said()
    assert "epoch 1" not in said()  # not the chief


def test_what_is_made_is_what_the_manifests_say(world):
    world.launch(well, workers=3)
    (job,), (service,) = world.kube.state.created["Job"], world.kube.state.created["Service"]
    assert job["spec"] == job_manifest(world.cluster, world.name, world.folder, 3, None)["spec"]
    assert service["spec"] == service_manifest(world.cluster, world.name, "")["spec"]
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", world.name, job["metadata"]["uid"])


def test_the_calls_that_the_role_allows_are_made_and_no_others(world):
    world.launch(fails(1, 137), well)
    made = {
        tuple(request.split("/")[0].split()) if "/log" not in request else ("get", "pods/log")
        for request in world.kube.requests
    }
    assert made == rights()


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (lambda run: run.ended(1), "ended with exit code 1"),
        (lambda run: run.ended(137), "was killed by SIGKILL"),
        (
            lambda run: run.ended(137, "OOMKilled"),
            "was killed (OOMKilled): it needs more memory than workers.pod.memory",
        ),
        (lambda run: run.evicted("The node was low on resource: memory."), "was lost (Evicted): The node was low on"),
        (lambda run: run.disrupted("EvictionByEvictionAPI", "drained"), "was lost (EvictionByEvictionAPI): drained"),
        (lambda run: run.ended(143), "was killed by SIGTERM"),
        (lambda run: run.state.delete("Pod", run.name), "was killed by SIGTERM"),
    ],
)
def test_when_a_worker_is_lost_all_start_again_once(world, said, end, how):
    def lost(run):
        run.running()
        if run.index == 1:
            end(run)
        run.stopping.wait(LIMIT)

    world.launch(lost, well)
    assert world.jobs == 2
    assert any(line.startswith(f"worker 1 of 2 (pod {world.name}-1-") and how in line for line in said()), said()
    assert "starting all workers again, time 1 of at most 3 without a new checkpoint" in said()


def test_workers_start_again_only_when_all_of_them_have_ended(world):
    """Two sets at once would write the same checkpoints."""
    alive, most = [], []

    def counted(run):
        run.running()
        alive.append(run)
        most.append(len(alive))
        if world.jobs == 1 and run.index == 1:
            wait_until(lambda: len(alive) == 2)
            alive.remove(run)
            run.ended(137)
        elif world.jobs == 1:
            run.stopping.wait(LIMIT)
            time.sleep(0.5)  # a checkpoint
            alive.remove(run)
        else:
            run.ended(0)

    world.launch(counted)
    assert world.jobs == 2
    assert max(most) == 2


def test_a_worker_that_is_lost_too_often_is_shown_with_the_end_of_its_log(world):
    world.set(restarts=1)
    with pytest.raises(WorkerError) as error:
        world.launch(fails(1, 1))
    first, *tail = str(error.value).splitlines()
    assert first.startswith(f"worker 1 of 2 (pod {world.name}-1-")
    assert first.endswith(") ended with exit code 1; its log ends:")
    assert tail == [*(f"line {line}" for line in range(11, 20)), "trainer: what is wrong"]
    assert world.jobs == 2


@pytest.mark.parametrize("bad", [0, 1])
def test_a_users_mistake_is_told_in_the_workers_words_and_not_tried_again(world, bad):
    with pytest.raises(UserError, match=r"^what is wrong$"):
        world.launch(fails(bad, 2))
    assert world.jobs == 1


def test_the_last_words_are_known_without_the_log(world):
    world.kube.fail("get pods/log", 500, times=999)
    with pytest.raises(UserError, match=r"^from the status$"):
        world.launch(fails(1, 2, message="trainer: from the status\nand more"))


def test_a_worker_that_was_never_one_is_not_tried_again(world):
    with pytest.raises(WorkerError, match=r"could not be started \(StartError\): exec: \"python\""):
        world.launch(fails(1, 128, reason="StartError", message='exec: "python": not found'))
    assert world.jobs == 1


@pytest.mark.parametrize(("cause", "error"), [(137, WorkerError), (2, UserError), (143, InterruptError)])
def test_of_several_that_end_together_the_one_that_is_no_consequence_is_named(world, monkeypatch, cause, error):
    """The consequence comes first: what another machine says may take longer."""
    world.set(restarts=0)
    sync = world.kube.state.sync  # the Job controller, which comes too late to delete anybody
    monkeypatch.setattr(world.kube.state, "sync", lambda job: "deletionTimestamp" in job["metadata"] and sync(job))

    def both(run):
        run.running()
        run.log("trainer: what is wrong")
        if run.index == 1:
            wait_until(lambda: next(r for r in run.state.runs.values() if r.index == 0).has_ended())
            time.sleep(0.1)
        run.ended(cause if run.index else 1)

    with pytest.raises(error) as found:
        world.launch(both)
    if cause == 137:
        assert str(found.value).startswith("worker 1 of 2")


def test_a_worker_that_the_failed_job_deletes_takes_no_blame(world):
    world.set(restarts=0)
    with pytest.raises(WorkerError, match=r"worker 0 of 2 .* ended with exit code 1"):
        world.launch(fails(0, 1))


def test_restarts_count_from_the_last_checkpoint(world):
    """A training that comes further may lose a worker now and then, for weeks."""
    world.set(restarts=1)

    def comes_further(run):
        if run.index == 1 and world.jobs < 4:
            os.mkdir(os.path.join(os.path.dirname(world.folder), f"step-{world.jobs:09d}"))
        fails(1, 137)(run)

    with pytest.raises(WorkerError, match="was killed by SIGKILL"):
        world.launch(comes_further)
    assert world.jobs == 4  # 3 that came further, and 1 that did not


def test_told_to_stop_too_often_the_run_is_one_that_may_go_on(world):
    world.set(restarts=1)
    with pytest.raises(InterruptError) as error:
        world.launch(fails(1, 143))
    assert error.value.exit_code == 143
    assert world.jobs == 2


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"]
)
def test_an_image_that_does_not_come_is_told_in_the_kubelets_words(world, reason):
    with pytest.raises(WorkerError, match=rf"worker 1 of 2 .* cannot be started: {reason}: vaeiaf:1: not found"):
        world.launch(lambda run: run.waiting(reason, "vaeiaf:1: not found") if run.index else forever(run))
    assert world.jobs == 1


def test_an_image_that_comes_after_all_is_waited_for(world, monkeypatch):
    monkeypatch.setattr(worker_set, "HOPELESS_SECONDS", LIMIT)

    def late(run):
        run.waiting("ErrImagePull", "the registry is busy")
        time.sleep(0.3)
        well(run)

    world.launch(late)


def test_a_pod_for_which_there_is_no_place_is_told_in_the_schedulers_words(world):
    world.set(start_seconds=1)
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"
    with pytest.raises(WorkerError, match=rf"worker 1 of 2 .* not started within 1 s: Unschedulable: {words}"):
        world.launch(lambda run: run.unschedulable(words) if run.index else forever(run))


def test_who_waits_for_a_place_sees_why_in_the_schedulers_words(world, said):
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"

    def late(run):
        run.unschedulable(words)
        wait_until(lambda: any(words in line for line in said()))
        time.sleep(0.2)
        well(run)

    world.launch(late)
    (line,) = [line for line in said() if words in line]
    assert line.endswith(f"waits for a machine: Unschedulable: {words}")


def test_pods_that_are_not_made_are_missed(world, monkeypatch):
    world.set(start_seconds=1)
    monkeypatch.setattr(world.kube.state, "start_pods", lambda job: None)
    with pytest.raises(WorkerError, match="Kubernetes has made 0 of 2 pods within 1 s: expected room"):
        world.launch(forever)


def test_a_training_that_takes_too_long_is_ended(world):
    world.set(deadline_seconds=1)
    with pytest.raises(WorkerError, match=r"did not end within 1 s, workers\.deadline_seconds"):
        world.launch(forever)
    assert world.jobs == 1


def test_workers_that_kubernetes_ends_at_the_deadline_are_not_lost(world):
    """Though the launcher comes to know of it late."""
    world.set(deadline_seconds=2)

    def ended(run):
        run.running()
        if run.index == 0:
            world.kube.fail("get jobs", 503, times=99999)
        assert run.stopping.wait(LIMIT)
        if run.index == 0:
            time.sleep(0.5)
            world.kube.faults.clear()

    with pytest.raises(WorkerError, match=r"did not end within 2 s, workers\.deadline_seconds"):
        world.launch(ended)
    assert world.jobs == 1


def test_an_adopted_job_has_no_new_deadline(world):
    """It is that of the training, which began with its Job."""
    world.set(deadline_seconds=3)
    leave(world)
    time.sleep(1.5)
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"did not end within 3 s, workers\.deadline_seconds"):
        world.launch(forever)
    assert time.monotonic() - began < 2


def test_a_machine_that_does_not_answer_is_named_and_nobody_writes_beside_its_worker(world, monkeypatch):
    """It is told to stop, as it is when its node is gone, and does not."""
    monkeypatch.setattr(worker_set, "LOST_SECONDS", -44.0)  # a second, with the grace
    world.set(start_seconds=2)
    runs = []

    def lost(run):
        run.running(node=f"node-{run.index}")
        if run.index == 1:
            runs.append(run)
            run.disrupted("DeletionByTaintManager", "node is unreachable")
        run.stopping.wait(LIMIT)
        while run.index == 1 and run.is_there():
            time.sleep(0.02)

    try:
        with pytest.raises(WorkerError, match=rf"not gone 2 s .* \({world.name}-1-\w+ on node-1\): .* delete its node"):
            world.launch(lost)
        assert world.jobs == 1
    finally:
        runs[0].ended(137)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_launcher_leaves_nothing_and_lets_all_save(world, number):
    saved = []

    def save(run):
        run.running()
        if run.index == 1:
            os.kill(os.getpid(), number)
        assert run.stopping.wait(LIMIT)
        saved.append(run.manifest["metadata"]["deletionGracePeriodSeconds"])

    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(InterruptError, match=number.name):
        world.launch(save)
    wait_until(lambda: len(saved) == 2)
    assert min(saved) > 30
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_ends_the_wait_for_an_api_that_does_not_answer(world):
    world.kube.fail("create jobs", 503, times=99999)
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGTERM]).start()
    with pytest.raises(InterruptError):
        world.launch(well)


def test_a_job_that_somebody_deletes_is_an_interrupt(world):
    def deleted(run):
        run.running()
        if run.index == 0:
            run.state.delete("Job", world.name)
        run.stopping.wait(LIMIT)

    with pytest.raises(InterruptError):
        world.launch(deleted)
    assert world.jobs == 1


# What an earlier launcher has left.


def leave(world, workers=2, **state):
    world.scripts = [state.pop("script", forever)]
    job = world.kube.state.create("Job", job_manifest(world.cluster, world.name, world.folder, workers, None))
    world.kube.state.create("Service", service_manifest(world.cluster, world.name, job["metadata"]["uid"]))


def test_a_job_at_work_is_followed_to_its_end(world, said):
    go = threading.Event()

    def slow(run):
        run.running()
        run.log("epoch 1")
        go.wait(LIMIT)
        run.log("epoch 2")
        run.ended(0)

    leave(world, script=slow)
    threading.Timer(0.5, go.set).start()
    world.launch(slow)
    assert world.jobs == 1
    assert [line for line in said() if line.startswith("epoch")] == ["epoch 1", "epoch 2"]


def test_a_job_of_a_launcher_that_is_gone_starts_again_when_it_goes_too(world):
    def deleted(run):
        run.running()
        if run.index == 0:
            wait_until(lambda: any("watch" in request for request in world.kube.requests))
            run.state.delete("Job", world.name)
        run.stopping.wait(LIMIT)

    leave(world, script=deleted)
    world.launch(deleted, well)
    assert world.jobs == 2


@pytest.mark.parametrize("with_weights", [True, False])
def test_work_that_is_done_is_not_done_again_if_its_result_is_there(world, with_weights):
    leave(world, script=well)
    wait_until(lambda: world.kube.state.get("Job", world.name)["status"].get("conditions"))
    if with_weights:
        with open(os.path.join(world.folder, "weights.index"), "w"):
            pass
    world.launch(well)
    assert world.jobs == (1 if with_weights else 2)


@pytest.mark.parametrize("how", ["failed", "other", "going"])
def test_a_job_that_cannot_be_followed_is_replaced(world, how):
    leave(world, script=fails(1, 1) if how == "failed" else forever, workers=3 if how == "other" else 2)
    if how == "failed":
        wait_until(lambda: world.kube.state.get("Job", world.name)["status"].get("conditions"))
    if how == "going":
        wait_until(lambda: all(r.pod["status"]["phase"] == "Running" for r in world.kube.state.runs.values()))
        world.kube.state.delete("Job", world.name, "Foreground")
    world.launch(forever, well)
    assert world.jobs == 2


def test_what_another_launcher_has_started_in_the_meantime_is_left_alone(world, monkeypatch):
    """A launcher that was cut off finds the Job of its successor under the name of its own."""
    clean_up = worker_pods._Training._clean_up
    manifest = job_manifest(world.cluster, world.name, world.folder, 2, None)

    def late(training):
        world.kube.state.delete("Job", world.name)
        job = world.kube.state.create("Job", manifest)
        world.kube.state.create("Service", service_manifest(world.cluster, world.name, job["metadata"]["uid"]))
        clean_up(training)

    monkeypatch.setattr(worker_pods._Training, "_clean_up", late)
    world.launch(well, forever)
    assert {kind for kind, _ in world.left()} == {"Job", "Service", "Pod"}
    world.kube.state.delete("Job", world.name)


def test_a_job_that_was_left_without_its_service_gets_one(world):
    leave(world, script=forever)
    world.kube.state.delete("Service", world.name)

    def found(run):
        run.running()
        wait_until(lambda: len(world.kube.state.created["Service"]) == 2)
        run.ended(0)

    for run in list(world.kube.state.runs.values()):
        threading.Thread(target=found, args=[run], daemon=True).start()
    world.launch(found)
    assert world.jobs == 1


@pytest.mark.parametrize("kind", ["Job", "Service"])
def test_what_does_not_go_is_not_waited_for_for_ever(world, monkeypatch, kind):
    """Such as for a finalizer that nobody takes away."""
    world.set(start_seconds=1)
    create = world.kube.state.create
    monkeypatch.setattr(world.kube.state, "create", lambda k, manifest: None if k == kind else create(k, manifest))
    with pytest.raises(WorkerError, match=rf"the {kind} {world.name} is not gone 1 s after .* no finalizer that keeps"):
        world.launch(forever)


# The lease.


@pytest.fixture
def short_lease(monkeypatch):
    monkeypatch.setattr(worker_lease, "LEASE_SECONDS", 2.0)
    monkeypatch.setattr(worker_lease, "RENEW_SECONDS", 0.2)


KILLED = """
    import sys
    from kubernetes import client
    from kubeflow import worker_lease, worker_set
    from kubeflow.cluster import Cluster
    from kubeflow.worker_pods import launch_pods

    worker_lease.LEASE_SECONDS, worker_lease.RENEW_SECONDS = 3.0, 0.2
    url, folder = sys.argv[1:]
    cluster = Cluster.from_dict({"image": "vaeiaf:1", "namespace": "training", "volume": {"claim": "vaeiaf"}})
    launch_pods(cluster, client.ApiClient(client.Configuration(host=url)))(folder, 2)
"""


def test_workers_outlive_a_launcher_that_is_killed_by_no_more_than_their_lease(world):
    """And are told to stop, not killed. As long as it lived they went on."""
    ended = threading.Event()

    def long(run):
        run.running()
        run.stopping.wait(LIMIT)
        ended.set()

    world.scripts = [long]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), world.kube.url, world.folder]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}) as launcher:
        wait_until(lambda: world.jobs)
        assert not ended.wait(5)
        launcher.kill()
    assert ended.wait(5)
    (condition,) = world.kube.state.get("Job", world.name)["status"]["conditions"]
    assert condition["reason"] == "DeadlineExceeded"
    assert world.jobs == 1
    world.kube.state.delete("Job", world.name)  # as its time to live does


def test_a_job_that_was_adopted_is_kept_at_work(world, short_lease):
    def slow(run):
        run.running()
        if not run.stopping.wait(4):
            run.ended(0)

    leave(world, script=slow)
    world.launch(slow)
    assert world.jobs == 1


def test_the_lease_ends_at_the_deadline_of_the_training(world, short_lease):
    world.set(deadline_seconds=3)
    with pytest.raises(WorkerError, match="did not end within 3 s"):
        world.launch(forever)
    assert max(world.kube.state.deadlines) in (3, 4)  # the Job began in the middle of a second


def test_a_lease_that_ran_out_is_no_end_of_the_training(world, said):
    """Such as for a launcher whose machine slept."""

    def ran_out(run):
        run.running()
        if run.index == 0:
            (job,) = run.state.owners(run.pod)
            run.state.fail(job, "DeadlineExceeded", "")
        run.stopping.wait(LIMIT)

    world.launch(ran_out, well)
    assert world.jobs == 2
    assert any("its lease could not be renewed in time" in line for line in said())


# The API in bad shape.


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("create jobs", {"kind": 429, "headers": {"Retry-After": "1"}}),
        ("create services", {"kind": 500, "times": 3}),
        ("create jobs", {"kind": "drop", "times": 2}),
        ("create jobs", {"kind": "late"}),  # it was made all the same
        ("create services", {"kind": "late"}),
        ("get jobs", {"kind": 503, "times": 3}),
        ("get jobs", {"kind": "hang"}),
        ("delete services", {"kind": 504, "times": 3}),
        ("delete services", {"kind": "late"}),
        ("patch jobs", {"kind": 500, "times": 3}),
        ("patch jobs", {"kind": "late"}),
        ("patch jobs", {"kind": 409}),
        ("list pods", {"kind": 500, "times": 3}),
        ("watch pods", {"kind": 410, "times": 3}),
        ("watch pods", {"kind": "expire", "times": 3}),
        ("watch pods", {"kind": 500, "times": 3}),
        ("watch pods", {"kind": "drop", "times": 3}),
        ("watch pods", {"kind": "cut"}),
        ("get pods/log", {"kind": 500, "times": 3}),
        ("get pods/log", {"kind": "cut", "times": 3}),
        ("get pods/log", {"kind": "drop", "times": 3}),
    ],
)
def test_trouble_that_passes_is_outlasted(world, said, pattern, fault):
    world.kube.fail(pattern, **fault)

    pending = lambda: [fault for fault in world.kube.faults if fault.times > 0]  # noqa: E731
    lines = []

    def slow(run):
        wait_until(lambda: "watch pods" in world.kube.requests)
        run.running()
        while run.index == 0 and pending() and not run.stopping.wait(0.02):
            lines.append(f"epoch {len(lines)}")
            run.log(lines[-1])
        wait_until(lambda: any("pods/log" in request for request in world.kube.requests))
        run.ended(0)

    world.launch(slow)
    assert world.jobs == 1
    assert [line for line in said() if line.startswith("epoch")] == lines
    assert not pending()


@pytest.mark.parametrize("fault", [{"kind": 504, "times": 3}, {"kind": "late"}])
def test_trouble_at_the_very_end_is_outlasted(world, fault):
    world.kube.fail("delete jobs", **fault)
    world.launch(well)


def test_each_line_of_the_log_is_passed_on_once_over_many_streams(world, said):
    """Some at the same time, and times as Kubernetes writes them, with no more digits than it takes."""
    for lines in range(12):
        world.kube.fail("get pods/log", "cut", lines=lines)

    def talkative(run):
        run.running()
        for tenth in range(10):
            for line in range(3):
                run.log(f"epoch {tenth}.{line}", f"2026-01-01T00:00:0{tenth // 5}{f'.{2 * tenth % 10}'.rstrip('.0')}Z")
        run.ended(0)

    world.launch(talkative)
    lines = [line for line in said() if line.startswith("epoch")]
    assert lines == [f"epoch {tenth}.{line}" for tenth in range(10) for line in range(3)]


@pytest.mark.parametrize("pattern", ["create jobs", "list pods", "get jobs"])
def test_trouble_that_does_not_pass_is_told(world, monkeypatch, pattern):
    monkeypatch.setattr(worker_pods, "PATIENCE_SECONDS", 0.5)
    verb, resource = pattern.split()
    world.kube.fail(pattern, 500, times=99999)
    with pytest.raises(
        ApiError, match=f"the Kubernetes API cannot {verb} {resource}, tried for 0 s: injected 500"
    ) as e:
        world.launch(forever)
    assert e.value.exit_code == 1


@pytest.mark.parametrize(
    ("verb", "resource"),
    sorted(rights() - {("delete", "jobs"), ("get", "pods/log")}),  # which are no reason to stop
)
def test_a_right_that_is_missing_is_named(world, verb, resource):
    world.kube.forbidden.add((verb, resource))
    with pytest.raises(ApiError) as error:
        world.launch(forever)
    assert error.value.exit_code == 2
    assert str(error.value).startswith(f"not allowed to {verb} {resource} in namespace training: expected a Role")
    assert "kubeflow/manifests" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_log_that_may_not_be_read_is_no_reason_to_stop(world, said):
    world.kube.forbidden.add(("get", "pods/log"))
    ready = threading.Event()

    def slow(run):
        run.running()
        ready.wait(0.5)
        run.ended(0)

    world.launch(slow)
    assert any("not allowed to get pods/log" in line for line in said())


def test_what_cannot_be_deleted_is_said(world, said):
    world.kube.forbidden.add(("delete", "jobs"))
    world.launch(well)
    assert any(line.startswith(f"the Job {world.name} is left in the cluster") for line in said())
    world.kube.state.delete("Job", world.name)


def test_a_namespace_that_is_not_there_is_a_users_mistake(world):
    world.cluster = dataclasses.replace(world.cluster, namespace="nowhere")
    with pytest.raises(ApiError, match='namespaces "nowhere" not found') as error:
        world.launch(well)
    assert error.value.exit_code == 2


def test_fewer_than_one_worker_is_refused_before_anything_is_asked(world):
    with pytest.raises(UserError, match="workers: expected at least 1, got 0"):
        world.launch(well, workers=0)
    assert world.kube.requests == []


# The owner.


def launcher_pod(world, **spec):
    """Its uid."""
    pod = {"kind": "Pod", "metadata": {"name": "launcher"}, "spec": spec, "status": {"phase": "Running"}}
    return world.kube.state.create("Pod", pod)["metadata"]["uid"]


@pytest.mark.parametrize("variable", ["POD_NAME", "KFP_POD_NAME"])
def test_the_job_belongs_to_the_pod_of_the_launcher(world, monkeypatch, variable):
    monkeypatch.setenv(variable, "launcher")
    uid = launcher_pod(world)
    world.launch(well)
    (job,) = world.kube.state.created["Job"]
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", "launcher", uid)


def test_the_workers_are_who_the_launcher_s_pod_is(world, monkeypatch):
    monkeypatch.setenv("POD_NAME", "launcher")
    launcher_pod(world, serviceAccountName="default-editor", imagePullSecrets=[{"name": "registry"}])
    world.launch(well)
    (job,) = world.kube.state.created["Job"]
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "default-editor"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("uid", [None, "another"])
def test_a_pod_of_another_namespace_is_no_owner(world, monkeypatch, said, uid):
    """Not even if one here has its name: Kubernetes would remove the Job at once."""
    monkeypatch.setenv("POD_NAME", "launcher")
    if uid:
        monkeypatch.setenv("POD_UID", uid)
        launcher_pod(world)
    world.launch(well)
    assert "ownerReferences" not in world.kube.state.created["Job"][0]["metadata"]
    assert any(line.startswith("this is no pod of namespace training") for line in said())


def test_the_cluster_of_the_kube_config_is_used(world, monkeypatch, tmp_path):
    path = tmp_path / "config"
    world.kube.write_kubeconfig(path)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    world.scripts = [well]
    launch_pods(world.cluster)(world.folder, 2)
    assert world.jobs == 1


def test_without_a_cluster_the_user_is_told(world, monkeypatch, tmp_path):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(UserError, match="no Kubernetes cluster: expected to be in one of its pods, or a kube config"):
        launch_pods(world.cluster)(world.folder, 2)
