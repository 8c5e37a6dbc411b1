"""Runs of the pipeline in a world: started through Kubeflow, watched through Kubernetes."""

import contextlib
import io
import json
import re
import secrets
from typing import Any, NamedTuple

from world import World

from kubeflow.client import submit
from kubeflow.client.api import ApiError as KfpError
from kubeflow.client.api import where
from kubeflow.client.follow import follow
from kubeflow.doctor.manifest import check_job
from kubeflow.spec.parameters import checked
from kubeflow.workers.kube_errors import ApiError
from kubeflow.workers.manifests import INSTANCE

EXPERIMENT = "vaeiaf-acceptance"
ACCOUNT = "vaeiaf"  # of our manifests
RUN_LABEL = "pipeline/runid"  # of Kubeflow's pods
PROGRAM = "kubeflow.run_node"  # of a task's pod; drivers have another


class End(NamedTuple):
    """How `submit --wait` ends."""

    code: int
    console: str


class Runs:
    """Starts runs and looks at their pods."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.version = submit.upload(world.api, world.cluster)
        self.experiment = submit.experiment_id(world.api, EXPERIMENT)
        self.started: list[str] = []

    def start(self, account: str = ACCOUNT, **parameters: Any) -> str:
        """Starts a run; returns its id."""
        values = checked({**self.world.small, **parameters})
        self.started.append(submit.start(self.world.api, self.version, self.experiment, values, account))
        return self.started[-1]

    def end(self, run: str) -> End:
        """Follows a run to its end."""
        console = io.StringIO()
        with contextlib.redirect_stdout(console):
            ended = follow(self.world.api, run, print)
            print(ended.text)
        return End(ended.code, console.getvalue())

    def ended(self, account: str = ACCOUNT, **parameters: Any) -> tuple[str, End]:
        """Runs to the end; returns the id and the end."""
        run = self.start(account, **parameters)
        return run, self.end(run)

    def terminate(self, run: str) -> None:
        """Stops a run as the button in the UI does."""
        self.world.api.ask("stop the run", self.world.api.client.runs.run_service_terminate_run, run)

    def of_schedule(self, recurring: str) -> str:
        """Returns the id of the first run of a schedule; empty before there is one."""
        call = self.world.api.client.runs.run_service_list_runs
        keywords = {"namespace": self.world.api.namespace, "filter": where("recurring_run_id", recurring)}
        found = [run.run_id for run in self.world.api.every("look for its runs", call, "runs", **keywords)]
        self.started += found[:1]
        return found[0] if found else ""

    def close(self) -> None:
        """Stops and deletes the runs, and the experiment."""
        runs, experiments = self.world.api.client.runs, self.world.api.client.experiments
        for run in dict.fromkeys(self.started):
            with contextlib.suppress(KfpError):  # it has ended
                self.world.api.ask("stop the run", runs.run_service_terminate_run, run)
            with contextlib.suppress(KfpError):
                self.world.api.ask("delete the run", runs.run_service_delete_run, run)
        with contextlib.suppress(KfpError):
            call = experiments.experiment_service_delete_experiment
            self.world.api.ask("delete the experiment", call, self.experiment)

    def pods(self, run: str) -> list[dict[str, Any]]:
        """Returns the pods of the tasks of a run."""
        found = self.world.kube.list_objects("pods", f"{RUN_LABEL}={run}")
        return [pod for pod in found if PROGRAM in json.dumps(pod["spec"]["containers"])]

    def log(self, pod: str) -> str:
        """Returns what the container of a task has printed; empty before it runs, and when it is gone."""
        try:
            return self.world.kube.container_log(pod, "main")
        except ApiError:
            return ""

    def says(self, run: str, pattern: str) -> str:
        """Waits until a task of the run prints a line that matches; returns the name of its pod."""

        def look() -> str:
            names = [pod["metadata"]["name"] for pod in self.pods(run)]
            return next((name for name in names if re.search(pattern, self.log(name), re.MULTILINE)), "")

        return self.world.wait(f"a line like {pattern!r} of run {run}", look, self.world.patience)

    def log_of(self, run: str) -> str:
        """Returns what all its tasks, whose pods are still there, have printed."""
        return "\n".join(self.log(pod["metadata"]["name"]) for pod in self.pods(run))

    def workers(self) -> list[dict[str, Any]]:
        """Returns the pods of workers in the namespace."""
        return self.world.kube.list_objects("pods", "app.kubernetes.io/component=trainer-worker")

    def jobs(self) -> list[str]:
        """Returns the names of the Jobs and Services of trainings in the namespace."""
        selector = "app.kubernetes.io/component=trainer-worker"
        kinds = ("jobs", "services")
        return [one["metadata"]["name"] for kind in kinds for one in self.world.kube.list_objects(kind, selector)]

    def inside(self, program: str, *arguments: str) -> Any:
        """Runs a Python program in a pod with the image, the volume and the database; returns the JSON it leaves."""
        kube, cluster = self.world.kube, self.world.cluster
        name = f"vaeiaf-acceptance-{secrets.token_hex(3)}"
        command = ["python", "-P", "-c", program, json.dumps(cluster.to_dict()), *arguments]
        job = kube.create_job(check_job(cluster, name, ACCOUNT, command))
        try:

            def look() -> Any:
                pods, _ = kube.list_pods(f"{INSTANCE}={name}")
                return next((pod for pod in pods if pod.succeeded or pod.failed), None)

            pod = self.world.wait(f"the end of {name}", look, self.world.patience)
            assert pod.succeeded, pod.message
            return json.loads(pod.message)
        finally:
            kube.delete_job(job, "Background")
