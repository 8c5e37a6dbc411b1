"""Runs what the emulated Kubeflow is asked to run: each task as a pod of the emulated Kubernetes.

It does what Argo does with the stock configuration of 2.17: a task whose pod is deleted is tried again, one whose
process fails is not, and the names and messages of the nodes are Argo's.
"""

import concurrent.futures
import copy
import json
import pathlib
import threading
import time
import uuid

import kfp_argo
from kube_state import INDEX, PodRun

BACKOFF_SECONDS = 0.2
SECRETS = {"password": "word"}  # by key


class Engine:
    """The workflows of an emulated Kubeflow, in the pods of an emulated Kubernetes."""

    def __init__(self, kfp, kube, folder: pathlib.Path) -> None:
        self.kfp, self.kube, self.folder = kfp, kube, folder
        self.workflows: dict[str, Workflow] = {}
        kfp.engine = self

    def start(self, run: dict) -> None:
        """Starts the workflow of a run."""
        package = self.kfp.packages[run["pipeline_version_reference"]["pipeline_version_id"]]
        workflow = self.workflows[run["run_id"]] = Workflow(self, run, *package)
        threading.Thread(target=workflow.work, daemon=True).start()

    def fires(self, recurring: dict) -> None:
        """Starts a run of a recurring run, whose time has come."""
        if recurring["mode"] == "ENABLE":
            fields = ("experiment_id", "pipeline_version_reference", "runtime_config", "service_account")
            run = self.kfp.fire(recurring)
            run.update({name: recurring[name] for name in fields if name in recurring})
            self.start(run)

    def record(self, run_id: str) -> dict:
        """Returns what the API says about a run: state, tasks and Argo's nodes."""
        return self.workflows[run_id].record()

    def log(self, run_id: str, task: str) -> str:
        """Returns what the last pod of a task has printed."""
        return self.workflows[run_id].logs.get(task, "")

    def terminate(self, run_id: str) -> None:
        """Stops a run as the button in the UI does."""
        self.workflows[run_id].terminate()


class Workflow:
    """One run."""

    def __init__(self, engine: Engine, run: dict, spec: dict, platform: dict) -> None:
        self.engine, self.run, self.spec = engine, run, spec
        self.executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        self.id, self.name = run["run_id"], f"vaeiaf-{run['run_id'][-5:]}"
        self.states, self.messages = {}, {}  # by task, as `kfp_argo.nodes` takes them
        self.outputs, self.logs = {}, {}  # by task: artifacts, and what its last pod printed
        self.stopping = False
        self._lock = threading.RLock()
        run["state"] = "RUNNING"

    def work(self) -> None:
        """Runs all tasks."""
        form = self.spec["root"]["inputDefinitions"]["parameters"]
        values = {name: found.get("defaultValue") for name, found in form.items()}
        values |= self.run.get("runtime_config", {}).get("parameters", {})
        ends = self._dag(self.spec["root"]["dag"], values)
        self.run["state"] = "FAILED" if "FAILED" in ends.values() or self.stopping else "SUCCEEDED"

    def record(self) -> dict:
        with self._lock:
            state = self.run["state"]
            nodes = kfp_argo.nodes(state, dict(self.states), copy.deepcopy(self.messages))
        return {"state": state, "tasks": kfp_argo.tasks(nodes), "nodes": nodes}

    def terminate(self) -> None:
        self.stopping = True
        self.run.setdefault("state_history", []).append({"update_time": kfp_argo.START, "state": "CANCELING"})
        state = self.engine.kube.state  # Argo signals the containers; the pods, which own the Jobs of workers, stay
        for run in list(state.runs.values()):
            if run.pod["metadata"]["labels"].get("pipeline/runid") == self.id and not run.has_ended():
                run.stopping.set()
                state.kubelet.stop(run)

    def _dag(self, dag: dict, values: dict) -> dict[str, str]:
        """Runs the tasks of a graph; returns the end of each."""
        ends: dict[str, str] = {}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running: dict[concurrent.futures.Future, str] = {}
            while len(ends) < len(dag["tasks"]):
                for name, task in dag["tasks"].items():
                    before = [ends.get(other) for other in task.get("dependentTasks", [])]
                    if name in ends or name in running.values() or None in before:
                        continue
                    always = task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
                    if self.stopping or not (always or set(before) <= {"SUCCEEDED"}):
                        ends[name] = "SKIPPED"
                        self._tell(name, None)
                    else:
                        running[pool.submit(self._task, name, task, values)] = name
                done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    ends[running.pop(future)] = future.result()
        return ends

    def _task(self, name: str, task: dict, values: dict) -> str:
        given = {
            parameter: values[source["componentInputParameter"]]
            if "componentInputParameter" in source
            else str(source["runtimeValue"]["constant"]).replace("{{$.pipeline_job_uuid}}", self.id)
            for parameter, source in task.get("inputs", {}).get("parameters", {}).items()
        }
        component = self.spec["components"][task["componentRef"]["name"]]
        self._tell(name, "RUNNING")
        if "dag" in component:
            state = "FAILED" if "FAILED" in self._dag(component["dag"], given).values() else "SUCCEEDED"
        else:
            state = self._tried(name, task, component, given)
        self._tell(name, state)
        return state

    def _tried(self, name: str, task: dict, component: dict, values: dict) -> str:
        """Runs the pods of a task until one of them is not lost."""
        for attempt in range(int(task.get("retryPolicy", {}).get("maxRetryCount", 0)) + 1):
            message = self._pod(name, attempt, component, values)
            if message:
                with self._lock:
                    self.messages.setdefault(name, []).append(message)
            if message != kfp_argo.LOST or self.stopping:
                return "FAILED" if message else "SUCCEEDED"
            time.sleep(BACKOFF_SECONDS)
        return "FAILED"

    def _tell(self, name: str, state: str | None) -> None:
        with self._lock:
            self.states[name] = state

    def _pod(self, name: str, attempt: int, component: dict, values: dict) -> str:
        """Runs one pod; returns Argo's message about its failure."""
        folder = self.engine.folder / self.id / name
        executor_input = _executor_input(folder, component, values)
        manifest = self._manifest(name, attempt, component["executorLabel"], json.dumps(executor_input))
        state = self.engine.kube.state
        with state.changed:
            made = state.create("Pod", manifest)
            run = PodRun(state, state.objects["Pod", made["metadata"]["name"]], 0)
            state.runs[run.uid] = run
        thread = threading.Thread(target=state.kubelet.start, args=[run], daemon=True)
        thread.start()
        with state.changed:
            while not run.has_ended():
                state.changed.wait(1)
        if "deletionTimestamp" in run.pod["metadata"] or not run.is_there():
            return kfp_argo.LOST
        self.logs[name] = "\n".join(text for _, text in run.lines)
        ended = run.pod["status"]["containerStatuses"][0]["state"]["terminated"]
        if ended["exitCode"]:
            return f"main: Error (exit code 1): {ended['message']}"
        file = pathlib.Path(executor_input["outputs"]["outputFile"])
        self.outputs[name] = json.loads(file.read_text() if file.exists() else "{}").get("artifacts", {})
        return ""

    def _manifest(self, name: str, attempt: int, label: str, executor_input: str) -> dict:
        container = self.spec["deploymentSpec"]["executors"][label]["container"]
        extra = self.executors.get(label, {})
        pod = f"{self.name}-{name}-{attempt}-{uuid.uuid4().hex[:5]}"
        metadata = {
            "name": pod,
            "labels": {"pipeline/runid": self.id, "workflow": self.name},
            "annotations": {"workflows.argoproj.io/node-name": f"{self.name}.{name}.executor({attempt})", INDEX: "0"},
        }
        metadata["annotations"] |= extra.get("podMetadata", {}).get("annotations", {})
        env = [{"name": one["name"], "value": one.get("value", "")} for one in container.get("env", [])]
        env += [
            {"name": one["name"], "valueFrom": {"fieldRef": {"fieldPath": one["fieldPath"]}}}
            for one in extra.get("fieldPathAsEnv", [])
        ]
        env += [
            {"name": key["envVar"], "value": SECRETS[key["secretKey"]]}
            for secret in extra.get("secretAsEnv", [])
            for key in secret["keyToEnv"]
        ]
        spec = {
            "serviceAccountName": self.run["service_account"],
            "terminationGracePeriodSeconds": 30,
            "containers": [
                {
                    "name": "main",
                    "image": container["image"],
                    "command": container["command"],
                    "args": [text.replace("{{$}}", executor_input) for text in container["args"]],
                    "env": env,
                    "terminationMessagePolicy": "File",
                }
            ],
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def _executor_input(folder: pathlib.Path, component: dict, values: dict) -> dict:
    """Returns what Kubeflow's driver tells a container; the addresses of its outputs are folders of this machine."""
    artifacts = {
        output: {"artifacts": [{"name": output, "uri": str(folder / output)}]}
        for output in component.get("outputDefinitions", {}).get("artifacts", {})
    }
    outputs = {"artifacts": artifacts, "outputFile": str(folder / "output.json")}
    return {"inputs": {"parameterValues": values}, "outputs": outputs}
