"""What can happen to a launch: functions of a world, one for each message of the launcher of pods."""

import os
import re
import threading

import pytest
from kube_world import LIMIT, fails, forever, held_in_queue, leave, wait_until, well

from kubeflow.workers.launcher import launch_pods
from kubeflow.workers.manifests import GRACE_SECONDS
from kubeflow.workers.start import PLACE_SECONDS
from kubeflow.workers.worker_set import LOST_SECONDS

WORKER = "worker 1 of 2 (pod JOB-1-xxxxx)"
QUOTA = (
    'Error creating: pods "worker-1-abcde" is forbidden: exceeded quota: compute, requested: '
    "requests.cpu=4,requests.memory=8Gi, used: requests.cpu=6,requests.memory=12Gi, limited: {}"
)
FULL = QUOTA.format("requests.cpu=8,requests.memory=16Gi")


def launches(script):
    """Launches two workers that follow the script."""
    return lambda world: world.launch(script)


def ends(act):
    """Launches two workers; `act(run)` ends the second one."""

    def scenario(world):
        def script(run):
            run.running(node="node-1")
            if run.index == 1:
                act(run)
            run.stopping.wait(LIMIT)

        world.launch(script)

    return scenario


def waits(act, seconds):
    """Launches two workers; the second stays for `seconds` in the state that `act(run)` gives it."""

    def scenario(world):
        world.launch(lambda run: (act(run), world.hold(run, seconds)) if run.index else forever(run))

    return scenario


def fault(pattern, kind):
    """Launches while every request that matches `pattern` fails."""

    def scenario(world):
        world.kube.fail(pattern, kind, times=99999)
        world.clock.run()
        world.launch(well)

    return scenario


def forbidden(world):
    world.kube.forbidden.add(("create", "jobs"))
    world.launch(well)


def no_cluster(world):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", "/no/config")
        launch_pods(world.cluster)(world.folder, 2)


def not_created(kind):
    """Launches while an object of that kind and name exists that nothing removes."""

    def scenario(world):
        create = world.kube.state.create
        world.kube.state.create = lambda k, manifest: None if k == kind else create(k, manifest)
        world.clock.run()
        world.launch(forever)

    return scenario


def no_pods(world):
    world.kube.state.start_pods = lambda job: None
    world.clock.run()
    world.launch(well)


def refuse(world, message, jobs=99):
    """Lets Kubernetes create no pods of the next `jobs` Jobs."""
    start = world.kube.state.start_pods

    def start_pods(job):
        if world.jobs > jobs:
            return start(job)
        let_pass(world, PLACE_SECONDS + 1)
        about = {"kind": "Job", "name": world.name, "uid": job["metadata"]["uid"]}
        event = {"kind": "Event", "metadata": {"name": f"{world.name}.{world.jobs}"}, "involvedObject": about}
        world.kube.state.create("Event", event | {"reason": "FailedCreate", "message": message})
        return None

    world.kube.state.start_pods = start_pods


def let_pass(world, seconds):
    """Moves time after the launcher's next looks."""

    def run():
        polls = world.clock.polls
        wait_until(lambda: world.clock.polls > polls + 2)
        world.clock.advance(seconds)

    threading.Thread(target=run, daemon=True).start()


def refused(message):
    """Launches a Job whose pods Kubernetes refuses to create."""
    return lambda world: (refuse(world, message), world.launch(well))


def rejected(world):
    """Returns a script whose second worker finds no machine until the launcher gives up the Job."""

    def script(run):
        if run.index == 0:
            return forever(run)
        run.unschedulable("0/3 nodes are available.")
        return world.hold(run, PLACE_SECONDS + 1)

    return script


def least(low, _):
    """Draws the shortest pause."""
    return low


def tried_again(world):
    world.launch(rejected(world), well, uniform=least)


def failed_job(reason):
    """Launches a Job that fails before it has pods."""

    def scenario(world):
        world.kube.state.start_pods = lambda job: world.kube.state.fail(job, reason, "its words")
        world.clock.run()
        world.launch(well)

    return scenario


def deleted(world):
    world.launch(lambda run: (run.running(), run.state.remove(run.pod)), workers=1)


def too_long(world):
    world.set(deadline_seconds=60)
    waits(lambda run: run.running(), 61)(world)


def stuck(restarts):
    """Launches two workers; the second is told to stop, and does not before the launcher has ended."""

    def scenario(world):
        world.set(restarts=restarts, start_seconds=60)
        runs = []

        def script(run):
            run.running(node="node-1")
            if run.index == 1:
                runs.append(run)
                run.state.delete("Pod", run.name)
                world.hold(run, GRACE_SECONDS + LOST_SECONDS + 1)
                world.clock.run()
                wait_until(lambda: not run.is_there())
            run.stopping.wait(LIMIT)

        try:
            world.launch(script)
        finally:
            runs[0].ended(137)

    return scenario


def adopts(world):
    leave(world, script=lambda run: (run.running(), world.noticed(run), run.ended(0)))
    world.launch(well)


def finds_weights(world):
    leave(world, script=well)
    wait_until(lambda: world.kube.state.get("Job", world.name)["status"].get("conditions"))
    os.mkdir(os.path.join(world.folder, "weights"))
    world.launch(well)


def restarts(world):
    world.set(restarts=1)
    world.launch(fails(1, 143), well)


def queued(seconds):
    """Launches workers that wait for `seconds` in a queue, which may take 3600."""

    def scenario(world):
        world.set(queue="gpus", queue_seconds=3600)
        held_in_queue(world, seconds)
        world.launch(well)

    return scenario


def taken_back(world, last=lambda run: run.stopping.wait(LIMIT)):
    """Launches workers whose queue suspends them, and starts them again; `last(run)` is the last that a worker does."""
    world.set(queue="gpus", restarts=1)
    held_in_queue(world, 1)

    def suspended(run):
        run.running()
        if run.index == 1:
            world.noticed(run)
            held_in_queue(world, 1, job=2)
            run.state.suspend(world.name)
        last(run)

    world.launch(suspended, well)


def blind(world):
    world.kube.forbidden.add(("list", "events"))

    def script(run):
        run.unschedulable("0/3 nodes are available.")
        world.hold(run, PLACE_SECONDS + 1)
        world.noticed(run)
        well(run)

    world.launch(script)


def kept(world):
    world.kube.forbidden.add(("delete", "jobs"))
    try:
        world.launch(well)
    finally:
        world.kube.state.delete("Job", world.name)


def silent(world):
    def script(run):
        run.running()
        wait_until(lambda: any("pods/log" in request for request in world.kube.requests))
        run.ended(0)

    world.kube.forbidden.add(("get", "pods/log"))
    world.launch(script)


def not_allowed(verb, resource, group=""):
    """Returns the message about a missing right."""
    return (
        f'not allowed to {verb} {resource} in namespace training: {resource} is forbidden: User "system:serviceaccount:'
        f'training:default-editor" cannot {verb} resource "{resource}" in API group "{group}" in the namespace '
        '"training". Bind a Role with that verb to the service account, as in kubeflow/deploy/manifests'
    )


def shown(text, world):
    """Replaces the names in `text` that differ from run to run."""
    return re.sub(r"(JOB-\d)-\w{5}", r"\1-xxxxx", text.replace(world.name, "JOB"))
